"""Every event that is watched by clients of this process."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from reservation.store import Store
from reservation.tail import Tail
from reservation_http.errors import FeedFull
from reservation_http.feed.topic import Topic
from reservation_http.feed.viewer import Viewer

#: Events that are watched at once, each of which takes a connection to the state.
MOST_EVENTS = 1_000
#: How long an event that nobody watches any more is still read, seconds: who reloads a page comes back.
_LINGER_S = 10.0
#: How often these are looked for, seconds.
_LOOK_S = 1.0


class Hub:
    """Reads each event once that anybody watches.

    Arguments:
        store: where events are.
        tail: what waits for their changes.
        most: connections at once.
        most_each: the same, from one address.

    Attributes:
        connections: those that there are.
        leaving: whether it is about to close; it serves on meanwhile, as ever.
        closed: whether it takes no more.
    """

    def __init__(self, store: Store, tail: Tail, most: int, most_each: int) -> None:
        self._store, self._tail = store, tail
        self._most, self._most_each = most, most_each
        self._topics: dict[str, asyncio.Task[Topic]] = {}
        self._addresses: Counter[str] = Counter()
        self._viewers: set[Viewer] = set()
        self.connections = 0
        self.leaving = self.closed = False

    @property
    def events(self) -> int:
        """How many are watched."""
        return len(self._topics)

    async def topic(self, event_id: str) -> Topic:
        """An event, read from now on. Raises NotFound, StateUnavailable, FeedFull."""
        opening = self._topics.get(event_id)
        if opening is None or (opening.done() and opening.result().broken):
            if self.events >= MOST_EVENTS:
                raise FeedFull
            opening = self._topics[event_id] = asyncio.create_task(self._open(event_id))
        # Who gives up must not take it from the others.
        topic = await asyncio.shield(opening)
        topic.used_at = time.monotonic()
        return topic

    async def _open(self, event_id: str) -> Topic:
        topic = Topic(event_id, self._store, self._tail)
        try:
            await topic.start()
        except BaseException:
            self._topics.pop(event_id, None)
            raise
        return topic

    def check_room(self, address: str) -> None:
        """Raises FeedFull if there is no room for one more from an address."""
        if self.closed or self.connections >= self._most or self._addresses[address] >= self._most_each:
            raise FeedFull

    @contextmanager
    def using(self, topic: Topic, address: str) -> Iterator[None]:
        """Counts a connection, and keeps what it watches."""
        self.connections += 1
        self._addresses[address] += 1
        topic.users += 1
        try:
            yield
        finally:
            topic.users -= 1
            topic.used_at = time.monotonic()
            self.connections -= 1
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    @contextmanager
    def viewing(self, viewer: Viewer) -> Iterator[None]:
        """Ends a stream with the service."""
        self._viewers.add(viewer)
        try:
            yield
        finally:
            self._viewers.discard(viewer)

    async def tidy(self) -> None:
        """Ends reading what nobody watches, again and again."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for event_id, opening in list(self._topics.items()):
                if opening.done() and opening.result().is_idle(_LINGER_S):
                    del self._topics[event_id]
                    await opening.result().stop()

    async def close(self) -> None:
        """Lets everybody go. They connect again, and go on where they are."""
        self.leaving = self.closed = True
        for viewer in list(self._viewers):
            viewer.leave()
        for opening in list(self._topics.values()):
            opening.cancel()
            topics = await asyncio.gather(opening, return_exceptions=True)
            for topic in topics:
                if isinstance(topic, Topic):
                    await topic.stop()
        self._topics.clear()
