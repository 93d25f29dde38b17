"""Events: creating, listing, reading, what is free, and what every seat is."""

from hashlib import blake2b
from typing import Annotated, Literal

import falcon
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reservation.events import Events, FreeList
from reservation.fields import says_why
from reservation.ids import EVENT_ID_PATTERN, MAX_SEATS, parse_event_id
from reservation.models import Event, EventList, FreeSeats, Layout, SeatMap, WaitingRoom
from reservation.requests import EventChange, NewEvent, NewWaitingRoom
from reservation_http.access import CREATE_EVENTS, Access
from reservation_http.exchange import as_json, digits, path_id, read_query, write
from reservation_http.openapi import operation

#: How long a layout may be kept without asking, seconds. By then the rule for those not given may be another's.
_KEEP_LAYOUT_S = 3_600


class EventPage(BaseModel):
    """Which events are wanted."""

    model_config = ConfigDict(extra="ignore")

    limit: Annotated[
        Annotated[int, Field(ge=1, le=100), BeforeValidator(digits)], Field(description="Most events.")
    ] = 20
    cursor: Annotated[
        Annotated[str, AfterValidator(says_why(parse_event_id)), Field(json_schema_extra={"pattern": EVENT_ID_PATTERN})]
        | None,
        Field(description="`nextCursor` of the page before: its last event."),
    ] = None


class Page(BaseModel):
    """Which free seats are wanted."""

    model_config = ConfigDict(extra="ignore")

    limit: Annotated[
        Annotated[int, Field(ge=1, le=1000), BeforeValidator(digits)] | None,
        Field(description="Most seats. All of them if absent."),
    ] = None
    cursor: Annotated[
        Annotated[int, Field(ge=1, le=MAX_SEATS), BeforeValidator(digits)] | None,
        Field(description="`nextCursor` of the page before."),
    ] = None


class EventCreation:
    """`/events/create`.

    Arguments:
        admission_ttl_s: how long admissions last unless the event says otherwise, seconds.
    """

    def __init__(self, events: Events, access: Access, admission_ttl_s: int) -> None:
        self._events = events
        self._access = access
        self._admission_ttl_s = admission_ttl_s

    @operation(
        "createEvent",
        "Create an event with all its seats free",
        tag="events",
        body=NewEvent,
        answers={201: Event},
        headers={201: {"Location": "Where the event is read."}},
        scope=CREATE_EVENTS,
        problems=("state-unavailable",),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The event is there once this answers, with every seat, or not at all."""
        new, once = self._access.creation(req)
        event = self._events.create(
            new.name,
            new.seats,
            once,
            opens_at=new.opens_at,
            closes_at=new.closes_at,
            room=self._room(new.waiting_room),
            layout=new.layout,
        )
        write(resp, event, 201)
        resp.location = f"/events/{event.id}"

    def _room(self, wanted: NewWaitingRoom | None) -> WaitingRoom | None:
        if wanted is None:
            return None
        return WaitingRoom(
            admit_per_minute=wanted.admit_per_minute, admission_ttl=wanted.admission_ttl or self._admission_ttl_s
        )


class EventIndex:
    """`/events`."""

    def __init__(self, events: Events, access: Access) -> None:
        self._events = events
        self._access = access

    @operation(
        "listEvents",
        "List events",
        tag="events",
        query=EventPage,
        answers={200: EventList},
        problems=("not-found", "invalid-request", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The newest first, with how many of their seats are free, on hold and reserved; a seat whose hold has run out
        is free at once. Events that are created meanwhile move no page."""
        self._access.reader(req)
        page = read_query(req, EventPage)
        events = self._events.newest(page.limit, page.cursor or "")
        resp.set_header("Cache-Control", "no-cache")
        write(resp, events)


class EventById:
    """`/events/{event_id}`."""

    def __init__(self, events: Events, access: Access) -> None:
        self._events = events
        self._access = access

    @operation(
        "getEvent", "Read an event", tag="events", answers={200: Event}, problems=("not-found", "state-unavailable")
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """Name and number of seats. What is free is under `/seats/list/{event_id}`."""
        self._access.reader(req)
        write(resp, self._events.get(path_id(parse_event_id, event_id)))

    @operation(
        "changeEvent",
        "Change when sales begin and end",
        tag="events",
        body=EventChange,
        unkeyed=True,
        answers={200: Event},
        scope=CREATE_EVENTS,
        problems=("not-found", "opening-fixed", "state-unavailable"),
    )
    def on_patch(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """Postpones them, or ends them now: a `closesAt` that is past means now. Sales that have ended go on with one
        that lies ahead. Safe to repeat."""
        change = self._access.organizing(req, EventChange).body
        closes_at: int | Literal["never", ""] = ""
        if "closes_at" in change.model_fields_set:
            closes_at = "never" if change.closes_at is None else change.closes_at
        event_id = path_id(parse_event_id, event_id)
        write(resp, self._events.change(event_id, opens_at=change.opens_at, closes_at=closes_at))


class EventLayout:
    """`/events/{event_id}/layout`."""

    def __init__(self, events: Events, access: Access) -> None:
        self._events = events
        self._access = access

    @operation(
        "getLayout",
        "Read where an event's seats are",
        tag="events",
        answers={200: Layout, 304: None},
        headers={200: {"ETag": "Names this content; send it back in `If-None-Match`."}},
        problems=("not-found", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """Sections and rows, each row with the number of its first seat and how many it has. It never changes: keep
        it."""
        self._access.reader(req)
        layout = self._events.layout(path_id(parse_event_id, event_id))
        body = as_json(layout)
        resp.etag = etag = blake2b(body, digest_size=11).hexdigest()
        resp.set_header("Cache-Control", f"public, max-age={_KEEP_LAYOUT_S}")
        if {etag, "*"}.intersection(_known(req)):
            resp.status = 304
            return
        resp.content_type = falcon.MEDIA_JSON
        resp.data = body


class FreeSeatList:
    """`/seats/list/{event_id}`."""

    def __init__(self, events: Events, access: Access) -> None:
        self._events = events
        self._access = access

    @operation(
        "listFreeSeats",
        "List the free seats of an event",
        tag="seats",
        query=Page,
        answers={200: FreeSeats, 304: None},
        headers={200: {"ETag": "Names this content; send it back in `If-None-Match`."}},
        problems=("not-found", "invalid-request", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """In the order of their numbers; a seat whose hold has run out is among them at once. Answers
        304 when nothing has changed since the `ETag` that `If-None-Match` names."""
        self._access.reader(req)
        event_id = path_id(parse_event_id, event_id)
        page = read_query(req, Page)
        known = _known(req)
        free = self._events.list_free(
            event_id,
            after=page.cursor or 0,
            limit=page.limit or 0,
            known=known[0] if len(known) == 1 else "",
        )
        resp.etag = free.etag
        resp.set_header("Cache-Control", "no-cache")
        if free.ids is None or free.etag in known or "*" in known:
            resp.status = 304
            return
        resp.content_type = falcon.MEDIA_JSON
        resp.data = _body(event_id, free, free.ids)


class SeatStates:
    """`/events/{event_id}/seats`."""

    def __init__(self, events: Events, access: Access) -> None:
        self._events = events
        self._access = access

    @operation(
        "getSeatMap",
        "Read every seat's state",
        tag="seats",
        answers={200: SeatMap, 304: None},
        headers={200: {"ETag": "Names what the seats are; send it back in `If-None-Match`."}},
        problems=("not-found", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """One letter a seat: what a picture of the hall is drawn from. A seat whose hold has run out is available at
        once. The feed's changes after `sequence` lead on from here. Answers 304 when nothing has changed since the
        `ETag` that `If-None-Match` names."""
        self._access.reader(req)
        known = _known(req)
        etag, seats = self._events.seat_map(path_id(parse_event_id, event_id), known[0] if len(known) == 1 else "")
        # Weak (RFC 9110, section 8.8.1): the same seats have another `serverTime`.
        resp.etag = f'W/"{etag}"'
        resp.set_header("Cache-Control", "no-cache")
        if seats is None or etag in known or "*" in known:
            resp.status = 304
            return
        write(resp, seats)


def _known(req: falcon.Request) -> list[str]:
    """The ETags that the caller has content for, or `*`."""
    return [str(tag) for tag in req.if_none_match or []]


def _body(event_id: str, free: FreeList, ids: list[str]) -> bytes:
    """FreeSeats as JSON. A free seat is the same text but for its id, so 10,000 of them are one join;
    as models they take twelve times as long (docs/performance.md)."""
    before, after = '{"id":"', f'","eventId":"{event_id}","UUID":"","status":"Available"}}'
    seats = before + f"{after},{before}".join(ids) + after if ids else ""
    cursor = f',"nextCursor":"{ids[-1].rpartition("-")[2]}"' if free.more else ""
    return f'{{"event":"{event_id}","total":{free.total},"seats":[{seats}]{cursor}}}'.encode()
