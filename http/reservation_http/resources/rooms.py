"""Waiting rooms: drawing a ticket, and reading where it stands."""

import falcon

from reservation.ids import TicketId, parse_event_id
from reservation.models import Ticket
from reservation.requests import QueueEntry
from reservation.rooms import Rooms, Standing
from reservation_http.access import Access
from reservation_http.exchange import path_id, write
from reservation_http.openapi import operation

_LOOK_AGAIN = {"Retry-After": "Seconds after which to look again. Not once it is admitted."}


class TicketDraw:
    """`/events/{event_id}/queue`."""

    def __init__(self, rooms: Rooms, access: Access) -> None:
        self._rooms = rooms
        self._access = access

    @operation(
        "drawTicket",
        "Join an event's waiting room",
        tag="events",
        body=QueueEntry,
        unkeyed=True,
        answers={201: Ticket, 200: Ticket},
        headers={201: {"Location": "Where the ticket is read.", **_LOOK_AGAIN}, 200: _LOOK_AGAIN},
        problems=("not-found", "event-closed", "queue-full", "state-unavailable"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """You have one ticket for an event: asking again answers 200 with the same. Those drawn before `opensAt` are
        shuffled then; later ones are admitted in the order in which they were drawn."""
        user = self._access.entrant(req)
        standing = self._rooms.draw(path_id(parse_event_id, event_id), user)
        _answer(resp, standing, 201 if standing.drawn else 200)
        resp.location = standing.ticket.status_endpoint


class TicketById:
    """`/events/{event_id}/queue/{ticket}`."""

    def __init__(self, rooms: Rooms, access: Access) -> None:
        self._rooms = rooms
        self._access = access

    @operation(
        "getTicket",
        "Read where a ticket stands",
        tag="events",
        answers={200: Ticket},
        headers={200: _LOOK_AGAIN},
        problems=("not-found", "event-closed", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str, ticket: str) -> None:
        """Once it is `admitted`, the `admission` is what `POST /seats/hold` takes in its header `Admission`. It lasts
        `admissionTtl` from the first answer that has it, and so does the ticket; one that nobody reads within an hour
        of being admitted lapses."""
        self._access.reader(req)
        ticket_id = path_id(lambda token: TicketId.parse(event_id, token), ticket)
        _answer(resp, self._rooms.read(ticket_id), 200)


def _answer(resp: falcon.Response, standing: Standing, status: int) -> None:
    resp.set_header("Cache-Control", "no-store")
    if standing.retry_after_s:
        resp.set_header("Retry-After", str(standing.retry_after_s))
    write(resp, standing.ticket, status)
