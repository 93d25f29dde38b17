"""A client of the live feed."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import httpx
import orjson

from tests.waiting import wait_for

#: What a seat is, as `GET /events/{id}/seats` has it.
LETTERS = {"Available": "A", "On hold": "H", "Reserved": "R", "Blocked": "B"}


class Told(NamedTuple):
    """An event of the stream."""

    name: str
    id: int | None
    data: dict[str, Any]


class Watch:
    """Watches from a thread of its own, and checks that nothing is told twice and nothing left out.

    Attributes:
        told: all events, in order.
        seats: what is known of the seats, a letter each.
        ended: whether the stream has ended.
    """

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.told: list[Told] = []
        self.seats: list[str] = []
        self.sequence: int | None = None
        self.ended = threading.Event()
        self.problem: str = ""
        self._client = httpx.Client(timeout=httpx.Timeout(5, read=30))
        self._stream = self._client.stream("GET", url, headers=headers or {})
        self.response = self._stream.__enter__()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for told in events(self.response.iter_lines()):
                self.told.append(told)
                self._take(told)
        except httpx.HTTPError as error:
            self.problem = repr(error)
        except Exception as error:
            self.problem = repr(error)
            raise
        finally:
            self.ended.set()

    def _take(self, told: Told) -> None:
        if told.name == "snapshot":
            self.seats, self.sequence = list(told.data["seats"]), told.id
            assert told.id == told.data["sequence"]
        elif told.name == "change":
            sequence = told.data["sequence"]
            assert told.id == sequence
            assert self.sequence is None or sequence == self.sequence + 1, (self.sequence, told)
            self.sequence = sequence
            if self.seats:
                self.seats[int(told.data["seat"].rpartition("-")[2]) - 1] = LETTERS[told.data["to"]]

    def names(self) -> list[str]:
        """What the events are called, without heartbeats."""
        return [told.name for told in self.told if told.name != "heartbeat"]

    def changes(self) -> list[int]:
        """The numbers of the changes that were told."""
        return [told.data["sequence"] for told in self.told if told.name == "change"]

    def wait_for(self, sequence: int) -> None:
        """Until it knows of a change."""
        wait_for(lambda: self.sequence == sequence or bool(self.problem), 20)
        assert not self.problem, self.problem
        assert self.sequence == sequence

    def close(self) -> None:
        """Watches no more."""
        with suppress(OSError, AttributeError):
            self.response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._client.close()


def events(lines: Iterator[str]) -> Iterator[Told]:
    """Server-Sent Events (WHATWG HTML, section 9.2.6) of lines, as far as the feed uses them."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "event" in fields:
                number = int(fields["id"]) if "id" in fields else None
                yield Told(fields["event"], number, orjson.loads(fields["data"]))
            fields = {}


@contextmanager
def watching(url: str, **headers: str) -> Iterator[Watch]:
    """Watches for as long as it lasts."""
    watch = Watch(url, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        yield watch
    finally:
        watch.close()
