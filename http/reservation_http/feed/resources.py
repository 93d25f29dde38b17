"""The live feed over HTTP: a stream, and long polls for clients that cannot have one."""

import re
from typing import Any

import falcon
import falcon.asgi

from reservation.ids import parse_event_id
from reservation_http.exchange import path_id, read_query
from reservation_http.feed.connection import Connection
from reservation_http.feed.guests import Guests
from reservation_http.feed.hub import Hub
from reservation_http.feed.topic import Told
from reservation_http.feed.viewer import Viewer
from reservation_http.resources.feed import ChangesQuery, StreamQuery

_NUMBER = re.compile(r"[0-9]{1,15}").fullmatch


class EventStream:
    """`/events/{event_id}/stream`, where it is served."""

    def __init__(self, hub: Hub, guests: Guests) -> None:
        self._hub = hub
        self._guests = guests

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, event_id: str) -> None:
        """Server-Sent Events: all seats, or what was missed, and then every change as it comes."""
        event_id = path_id(parse_event_id, event_id)
        address = await self._guests.admit(req)
        # Read whole, so that a mistake in it is told even where something else counts.
        since = read_query(req, StreamQuery).since
        last = req.get_header("Last-Event-ID") or ""
        known = int(last) if _NUMBER(last) else since
        self._hub.check_room(address)
        topic = await self._hub.topic(event_id)
        viewer = Viewer(topic, known)
        beginning = await viewer.begin()
        connection = Connection.of(req.scope)

        async def body() -> Any:
            with self._hub.using(topic, address), self._hub.viewing(viewer):
                async for piece in viewer.events(beginning, connection):
                    yield piece

        resp.content_type = "text/event-stream; charset=utf-8"
        # nginx would wait for more before it passes anything on.
        resp.set_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        resp.stream = body()


class EventChanges:
    """`/events/{event_id}/changes`, where it is served."""

    def __init__(self, hub: Hub, guests: Guests) -> None:
        self._hub = hub
        self._guests = guests

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, event_id: str) -> None:
        """The changes after `since`; waits for one if there is none."""
        event_id = path_id(parse_event_id, event_id)
        address = await self._guests.admit(req)
        query = read_query(req, ChangesQuery)
        self._hub.check_room(address)
        topic = await self._hub.topic(event_id)
        told: Any = []
        if query.since is not None:
            with self._hub.using(topic, address):
                if query.wait and query.since == topic.sequence:
                    await topic.wait(query.since, query.wait)
                told = await topic.recall(query.since)
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("Cache-Control", "no-store")
        # Not what has come since: who is told nothing knows what it knew.
        resp.data = _body(query.since if told == [] and query.since is not None else topic.sequence, event_id, told)


def _body(sequence: int, event_id: str, told: "list[Told] | None") -> bytes:
    """Changes as JSON, of pieces that are JSON already."""
    reset = told is None
    if told:
        sequence = told[-1].change.sequence
    changes = b",".join(one.json for one in told or ())
    head = f'{{"event":"{event_id}","sequence":{sequence},"reset":{"true" if reset else "false"},"changes":['
    return head.encode() + changes + b"]}"
