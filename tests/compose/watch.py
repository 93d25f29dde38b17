"""Clients that watch an event through HAProxy, and compare what they were told with what is."""

import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

import httpx

from tests.waiting import wait_for
from tests.watching import LETTERS, events

#: How long a client that was cut off, or refused, waits before it comes again, seconds.
_AGAIN_S = 0.5
#: How long a stream may be silent, seconds, before it is dead.
_SILENCE_S = 25
#: How long one poll may last, seconds.
_POLL_S = 5


class Watcher(threading.Thread):
    """One client, which knows what seats are by what it is told alone.

    Attributes:
        seats: what it knows of them, one letter each.
        sequence: number of the last change that it knows; -1 before it knows anything.
        told: changes that it was told of.
        wrong: those that were not the next one, or do not begin where the seat was.
        pictures: how often it was given all seats.
        again: how often it had to connect again, after it had been cut off or refused.
        refused: how often it was refused.
    """

    def __init__(self, url: str, event: str) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=_SILENCE_S)
        self._event = event
        self._done = threading.Event()
        self.seats: list[str] = []
        self.sequence = -1
        self.told = self.pictures = self.again = self.refused = 0
        self.wrong: list[str] = []

    def knows(self) -> tuple[int, str]:
        """The last change, and all seats."""
        return self.sequence, "".join(self.seats)

    def leave(self) -> None:
        """Watches no more, soon."""
        self._done.set()

    def stop(self) -> None:
        """Watches no more."""
        self.leave()
        self.join()
        self._client.close()

    def run(self) -> None:
        """Watches, again and again."""
        while not self._done.is_set():
            try:
                self._watch()
            except httpx.HTTPStatusError:
                self.refused += 1
            except httpx.HTTPError:
                pass
            if not self._done.is_set():
                self.again += 1
                self._done.wait(_AGAIN_S)

    def _watch(self) -> None:
        raise NotImplementedError

    def _take_all(self, picture: dict[str, Any]) -> None:
        self.pictures += 1
        self.seats, self.sequence = list(picture["seats"]), picture["sequence"]

    def _take(self, change: dict[str, Any]) -> None:
        at = int(change["seat"].partition("-")[2]) - 1
        was = (self.sequence + 1, self.seats[at])
        if was != (change["sequence"], LETTERS[change["from"]]):
            self.wrong.append(f"{was} was to come, not {change}")
        self.seats[at] = LETTERS[change["to"]]
        self.sequence = change["sequence"]
        self.told += 1


class Stream(Watcher):
    """By Server-Sent Events, as a browser does."""

    def _watch(self) -> None:
        headers = {"Last-Event-ID": str(self.sequence)} if self.sequence >= 0 else {}
        with self._client.stream("GET", f"/events/{self._event}/stream", headers=headers) as answer:
            answer.raise_for_status()
            for name, _, data in events(answer.iter_lines()):
                if self._done.is_set():
                    return
                if name == "snapshot":
                    self._take_all(data)
                elif name == "change":
                    self._take(data)


class Poll(Watcher):
    """By long polls."""

    def _watch(self) -> None:
        while not self._done.is_set():
            if self.sequence < 0:
                self._take_all(self._get("seats"))
            news = self._get("changes", since=self.sequence, wait=_POLL_S)
            if news["reset"]:
                self.sequence = -1
            for change in news["changes"]:
                self._take(change)

    def _get(self, what: str, **asked: int) -> Any:
        return self._client.get(f"/events/{self._event}/{what}", params=asked).raise_for_status().json()


class Audience:
    """Watchers of one event. Enter it to start them, once they all know what the seats are; on leaving they stop.

    Arguments:
        url: of the service.
        event: its id.
    """

    def __init__(self, url: str, event: str, streams: int = 4, polls: int = 2) -> None:
        self._url, self._event = url, event
        self.watchers: list[Watcher] = [Stream(url, event) for _ in range(streams)]
        self.watchers += [Poll(url, event) for _ in range(polls)]

    def __enter__(self) -> "Audience":
        for watcher in self.watchers:
            watcher.start()
        wait_for(lambda: all(watcher.sequence >= 0 for watcher in self.watchers), 30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for watcher in self.watchers:
            watcher.leave()
        for watcher in self.watchers:
            watcher.stop()

    @property
    def refused(self) -> int:
        """How often any of them was refused."""
        return sum(watcher.refused for watcher in self.watchers)

    def agrees(self) -> bool:
        """Whether all of them know now what the API says."""
        with suppress(httpx.HTTPError):
            said = httpx.get(f"{self._url}/events/{self._event}/seats", trust_env=False).raise_for_status().json()
            return all(watcher.knows() == (said["sequence"], said["seats"]) for watcher in self.watchers)
        return False

    def finding(self, timeout_s: float = 90) -> tuple[bool, str]:
        """Whether each was told of each change once, in order, and knows in the end what is; and the figures."""
        until = time.monotonic() + timeout_s
        while not (agrees := self.agrees()) and time.monotonic() < until:
            time.sleep(0.2)
        told = sorted(watcher.told for watcher in self.watchers)
        wrong = [mistake for watcher in self.watchers for mistake in watcher.wrong]
        pictures = sum(watcher.pictures for watcher in self.watchers)
        again = sum(watcher.again for watcher in self.watchers)
        passed = agrees and not wrong and pictures == len(self.watchers) and told[0] > 0
        text = f"{len(told)} x {told[-1]} changes, {len(wrong)} wrong, connected again {again} times"
        if not passed:
            text += f"; agree: {agrees}, told {told}, {pictures} pictures, {wrong[:3]}"
        return passed, text
