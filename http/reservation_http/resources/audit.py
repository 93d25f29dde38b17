"""Who did what to the seats of an event: for those who sell it."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

import falcon
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reservation.audit import Audit
from reservation.errors import NotFound
from reservation.fields import says_why
from reservation.ids import SEAT_ID_PATTERN, UUID_PATTERN, SeatId, parse_event_id, parse_uuid
from reservation.models import AuditEntry, AuditTrail
from reservation_http.access import CREATE_EVENTS, Access
from reservation_http.exchange import digits, path_id, private, read_query, write
from reservation_http.middleware import hide_user
from reservation_http.openapi import operation

CSV = "text/csv"
#: As entries are in the stream.
_CURSOR_PATTERN = r"^[0-9]{1,15}-[0-9]{1,15}$"
_COLUMNS = ("sequence", "time", "seat", "from", "to", "cause", "actor", "job", "request", "reason")
_EXAMPLE = """\
sequence,time,seat,from,to,cause,actor,job,request,reason
18,2026-01-01T00:00:00.000Z,k3v9x2m7qa-12,Available,On hold,held,5f0c9d1be2a4476c8b1d03fa,\
k3v9x2m7qa-4m0s8y2k1c7r5t9w3x6z0b8d2,7d1f0a4c9be2e356,
"""


class AuditQuery(BaseModel):
    """Which entries are wanted, and how."""

    model_config = ConfigDict(extra="ignore")

    limit: Annotated[
        Annotated[int, Field(ge=1, le=1_000), BeforeValidator(digits)], Field(description="Most entries.")
    ] = 100
    cursor: Annotated[
        Annotated[str, Field(pattern=_CURSOR_PATTERN)] | None,
        Field(description="`nextCursor` of the page before, which the `Link` to the next has too."),
    ] = None
    since: Annotated[
        Annotated[int, Field(ge=0, le=10**15 - 1), BeforeValidator(digits)] | None,
        Field(description="Epoch milliseconds: what has happened from then on."),
    ] = None
    seat: Annotated[
        Annotated[str, AfterValidator(says_why(SeatId.parse)), Field(json_schema_extra={"pattern": SEAT_ID_PATTERN})]
        | None,
        Field(description="What happened to this seat alone."),
    ] = None
    user: Annotated[
        Annotated[
            str,
            AfterValidator(says_why(parse_uuid)),
            Field(json_schema_extra={"format": "uuid", "pattern": UUID_PATTERN}),
        ]
        | None,
        Field(description="What this user did alone; `actor` says what the user is called in the entries."),
    ] = None
    format: Annotated[
        Literal["json", "csv"] | None, Field(description="Instead of `Accept: application/json` or `text/csv`.")
    ] = None


class EventAudit:
    """`/events/{event_id}/audit`."""

    def __init__(self, audit: Audit, access: Access) -> None:
        self._audit = audit
        self._access = access

    @operation(
        "auditEvent",
        "Read who did what to an event's seats",
        tag="events",
        scope=CREATE_EVENTS,
        query=AuditQuery,
        text={CSV: _EXAMPLE},
        answers={200: AuditTrail},
        headers={200: {"Link": "To what follows, if anything does: `rel=next`."}},
        problems=("not-found", "invalid-request", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """Each change of a seat, oldest first, with its cause, and the user as a keyed hash: nobody learns a UUID here.
        As far back as the change stream is kept, a day unless configured otherwise. Where few entries are wanted
        of many, a page may have fewer than `limit`, or none, and be followed by others. As JSON, or CSV for
        spreadsheets."""
        self._access.operator(req, CREATE_EVENTS)
        event_id = path_id(parse_event_id, event_id)
        query = read_query(req, AuditQuery)
        hide_user(req, query.user or "")
        seat = None if query.seat is None else SeatId.parse(query.seat)
        if seat is not None and seat.event != event_id:
            raise NotFound("This event has no such seat.")
        actor = self._audit.actor(event_id, query.user) if query.user else ""
        # What comes later in the stream: both are where to begin.
        position = query.cursor or str(query.since or 0)
        page = self._audit.page(event_id, position, limit=query.limit, seat=seat, actor=actor)
        private(resp)
        resp.append_header("Vary", "Accept")
        if page.position:
            following = {**query.model_dump(exclude_none=True), "cursor": page.position}
            resp.append_link(f"{req.path}?{urlencode(following)}", "next")
        if _wants_csv(req, query):
            resp.content_type = f"{CSV}; charset=utf-8"
            resp.downloadable_as = f"audit-{event_id}.csv"
            resp.data = as_csv(page.entries, head=query.cursor is None)
            return
        trail = AuditTrail(event=event_id, actor=actor or None, entries=page.entries, next_cursor=page.position or None)
        write(resp, trail)


def _wants_csv(req: falcon.Request, query: AuditQuery) -> bool:
    if query.format is not None:
        return query.format == "csv"
    return req.client_prefers([falcon.MEDIA_JSON, CSV]) == CSV


def as_csv(entries: Sequence[AuditEntry], *, head: bool = True) -> bytes:
    """Entries as a table (RFC 4180), in which no cell is a formula to a spreadsheet.

    Arguments:
        head: whether its first line has the names of the columns.
    """
    text = io.StringIO()
    table = csv.writer(text)
    if head:
        table.writerow(_COLUMNS)
    for entry in entries:
        time = datetime.fromtimestamp(entry.time / 1000, UTC).isoformat(timespec="milliseconds")
        cells = (entry.seat, entry.before, entry.to, entry.cause, entry.actor, entry.job, entry.request, entry.reason)
        table.writerow([entry.sequence, time.replace("+00:00", "Z"), *map(_inert, cells)])
    return text.getvalue().encode()


def _inert(cell: str | None) -> str:
    """A cell that is text, whatever it begins with: a request's id is what a client has chosen."""
    return f"'{cell}" if cell and cell[0] in "=+-@\t\r" else cell or ""
