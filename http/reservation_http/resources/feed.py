"""The live feed, as the API has it: it is served elsewhere, and the API says where."""

from typing import Annotated

import falcon
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reservation.errors import NotFound
from reservation.ids import parse_event_id
from reservation.models import ChangeList
from reservation_http.access import Access
from reservation_http.exchange import digits, path_id, read_query
from reservation_http.openapi import operation
from reservation_http.streams import StreamAddress
from reservation_http.waiting import LONGEST_WAIT_S

Since = Annotated[int, Field(ge=0, le=10**15 - 1), BeforeValidator(digits)]


class StreamQuery(BaseModel):
    """Where to begin."""

    model_config = ConfigDict(extra="ignore")

    since: Annotated[
        Since | None,
        Field(
            description="`sequence` of what you have read: go on from there, without a `snapshot`. `Last-Event-ID`, "
            "which a browser sends when it connects again, counts more."
        ),
    ] = None


class ChangesQuery(BaseModel):
    """What is missing, and how long to wait for it."""

    model_config = ConfigDict(extra="ignore")

    since: Annotated[
        Since | None,
        Field(description="`sequence` of what you have read. Absent: no change, only the number of the last."),
    ] = None
    wait: Annotated[
        Annotated[int, Field(ge=0, le=LONGEST_WAIT_S), BeforeValidator(digits)],
        Field(description="Seconds to wait where there is nothing yet."),
    ] = 0


_STREAM = """\
retry: 1000

event: snapshot
id: 17
data: {"event":"k3v9x2m7qa","sequence":17,"serverTime":1767225600000,"free":4,"held":1,"reserved":1,"seats":"AAHRAA"}

event: change
id: 18
data: {"sequence":18,"seat":"k3v9x2m7qa-12","from":"Available","to":"On hold","cause":"held","time":1767225600000}

event: heartbeat
data: {"sequence":18,"time":1767225610000}

"""


class _Elsewhere:
    """A path of the stream service."""

    def __init__(self, stream: StreamAddress, access: Access) -> None:
        self._stream = stream
        self._access = access

    def _send(self, req: falcon.Request, event_id: str, query: type[BaseModel]) -> None:
        self._access.reader(req)
        path_id(parse_event_id, event_id)
        read_query(req, query)  # a mistake in it is told where it was made
        base = self._stream.seen_by(req)
        if not base:  # it would come back here
            raise NotFound("The live feed is served by `reservation stream`, to which nothing in front leads.")
        raise falcon.HTTPTemporaryRedirect(f"{base}{req.relative_uri}")


class EventStream(_Elsewhere):
    """`/events/{event_id}/stream`."""

    @operation(
        "watchEvent",
        "Watch an event's seats (Server-Sent Events)",
        tag="feed",
        query=StreamQuery,
        resumes=True,
        text={"text/event-stream": _STREAM},
        answers={307: None},
        headers={307: {"Location": "Where the feed is served."}},
        problems=("not-found", "invalid-request", "feed-full", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """First `snapshot`: all seats, as `getSeatMap` has them. Then each `change`, as it happens; its `id` is the
        change's number. Who connects again with `Last-Event-ID` is told what was missed, or, where that is not known
        any more, `reset` and a new `snapshot`. `heartbeat` comes every ten to thirteen seconds: after 25 seconds of
        silence, connect again."""
        self._send(req, event_id, StreamQuery)


class EventChanges(_Elsewhere):
    """`/events/{event_id}/changes`."""

    @operation(
        "listChanges",
        "Read the changes of an event's seats (long poll)",
        tag="feed",
        query=ChangesQuery,
        answers={200: ChangeList, 307: None},
        headers={307: {"Location": "Where the feed is served."}},
        problems=("not-found", "invalid-request", "feed-full", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """The same as the stream for clients that cannot have one. With `wait`, answers as soon as there is a change.
        Read all seats, then ask again and again for what comes since the `sequence` that was last told."""
        self._send(req, event_id, ChangesQuery)
