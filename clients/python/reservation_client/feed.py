"""Following an event: Server-Sent Events (WHATWG HTML, section 9.2), and what is known of them."""

import json
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from reservation_client.errors import NoAnswer, UnexpectedAnswer
from reservation_client.models import Change, SeatMap, read
from reservation_client.steps import Answer, NextLine, Pause, Request, Steps

#: A connection that says nothing for so long is dead, seconds: heartbeats come every ten.
SILENCE_S = 25
#: The pause before it connects again, until the service names one, seconds.
_RETRY_S = 1.0


class Feed:
    """One event as it is followed, over as many connections as it takes.

    Arguments:
        exchange: sends a request until it is answered.
        path: of the stream.
        sequence: number of the last change that is known; None if none is.
    """

    def __init__(self, exchange: Callable[[Request], Steps[Answer]], path: str, sequence: int | None) -> None:
        self._exchange = exchange
        self._path = path
        self._sequence = sequence
        self._connected = False
        self._retry_s = _RETRY_S
        self._fields: dict[str, str] = {}

    def more(self) -> Steps[Sequence[SeatMap | Change]]:
        """Waits for something new. Raises Problem, NoAnswer if it cannot be followed for longer than one would wait."""
        while True:
            if not self._connected:
                yield from self._connect()
            try:
                line: str | None = yield NextLine()
            except NoAnswer:
                line = None
            if line is None:
                self._connected = False
                yield Pause(self._retry_s)
            elif (new := self._take(line)) is not None:
                return (new,)

    def _connect(self) -> Steps[None]:
        headers = {"Accept": "text/event-stream"}
        if self._sequence is not None:
            headers["Last-Event-ID"] = str(self._sequence)
        path = self._path
        for _ in range(3):  # the API says where the stream is
            answer = yield from self._exchange(Request("GET", path, headers=headers, wait_s=SILENCE_S, stream=True))
            if answer.status not in (301, 302, 307, 308):
                break
            path = answer.headers.get("location", "")
            if urlsplit(path).scheme not in ("http", "https"):
                break
        if answer.status != 200 or "text/event-stream" not in answer.headers.get("content-type", ""):
            raise UnexpectedAnswer(f"{self._path} led to {path}, which is no stream")
        self._connected, self._fields = True, {}

    def _take(self, line: str) -> SeatMap | Change | None:
        """A line; what is new if an event ends with it."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")  # the service's data are one line
            return None
        fields, self._fields = self._fields, {}
        if fields.get("retry", "").isdigit():
            self._retry_s = int(fields["retry"]) / 1000
        match fields.get("event"):
            case "snapshot":
                picture = read(SeatMap, _parsed(fields))
                self._sequence = picture.sequence
                return picture
            case "change":
                change = read(Change, _parsed(fields))
                if self._sequence is None or change.sequence > self._sequence:
                    self._sequence = change.sequence
                    return change
            case "reset":
                self._sequence = (
                    None  # a snapshot follows; if it is lost on the way, the next connection begins with one
                )
        return None


def _parsed(fields: dict[str, str]) -> object:
    try:
        return json.loads(fields.get("data", ""))
    except ValueError:
        raise UnexpectedAnswer(f"no JSON in the stream: {fields.get('data', '')[:200]!r}") from None
