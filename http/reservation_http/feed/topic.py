"""The changes of one event, for however many watch it: read once, kept for a while, given to all."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeGuard

import orjson
import redis
import structlog

from reservation import metrics
from reservation.changes import Recent
from reservation.errors import ReservationError, StateUnavailable
from reservation.models import Change, SeatMap
from reservation.store import Store
from reservation.tail import Tail
from reservation_http.feed import sse

log = structlog.get_logger()

#: Changes that are kept for who comes back, or takes a moment to read.
KEPT = 1_000
#: How often who watches hears that there is nothing new, seconds.
HEARTBEAT_S = 10.0
#: How old the picture of the seats may be that a watcher begins with, seconds: the changes since are sent with it.
_PICTURE_S = 1.0
#: How many are written to before others have their turn.
_SLICE = 250
#: How long to wait before the state is asked again that did not answer, seconds: at first, and at most.
_RETRY_S, _RETRY_MAX_S = 0.05, 1.0
#: How long a change may take from where the picture has it to here, seconds.
_CATCH_UP_S = 1.0


class Watcher(Protocol):
    """Who is told of every change."""

    def tell(self, data: bytes) -> None:
        """Takes events, as a chunk. Never waits."""

    def reset(self) -> None:
        """What it knows is void: it begins anew."""

    def leave(self) -> None:
        """Is told no more."""


class Told:
    """A change, as it is told."""

    __slots__ = ("change", "event", "json")

    def __init__(self, change: Change) -> None:
        self.change = change
        self.json = orjson.dumps(change.model_dump(by_alias=True))
        self.event = sse.event("change", self.json, change.sequence)


class Topic:
    """An event that is watched.

    Arguments:
        event_id: which.
        store: where it is.
        tail: what waits for its changes.
    """

    def __init__(self, event_id: str, store: Store, tail: Tail) -> None:
        self.event_id = event_id
        self.watchers: set[Watcher] = set()
        #: Connections that are about this event, and when the last of them began or ended (time.monotonic).
        self.users, self.used_at = 0, time.monotonic()
        self._store, self._tail = store, tail
        #: Those of the last changes that are known here, the last of which is number `sequence`.
        self._told: list[Told] = []
        self.sequence = 0
        self._position = ""
        #: Replaced, and the former one done, whenever something has come.
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._picture: tuple[int, float, bytes] | None = None
        self._drawing = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self) -> None:
        """Begins to read. Raises NotFound, StateUnavailable."""
        await self._begin()
        self._reader = asyncio.create_task(self._read(), name=f"feed-{self.event_id}")
        self._reader.add_done_callback(self._ended)

    def _ended(self, reader: "asyncio.Task[None]") -> None:
        """Lets everybody go where a mistake of ours keeps it from reading on: who comes back has it read anew."""
        if not reader.cancelled() and (error := reader.exception()) is not None:
            log.error("feed broken off", event_id=self.event_id, exc_info=error)
            self._stopped = True
            self._wake()
            for watcher in list(self.watchers):
                watcher.leave()

    async def stop(self) -> None:
        """Reads no more, and lets nobody wait for what does not come."""
        self._stopped = True
        self._wake()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    @property
    def broken(self) -> bool:
        """Whether nobody reads on, because of a mistake of ours."""
        return self._reader is None or self._reader.done()

    def is_idle(self, seconds: float) -> bool:
        """Whether nobody has asked for it for so long."""
        return not self.users and time.monotonic() - self.used_at > seconds

    def since(self, sequence: int) -> Sequence[Told] | None:
        """The changes after one; None if they are not all kept, or it has not happened."""
        if not self.sequence - len(self._told) <= sequence <= self.sequence:
            return None
        return self._told[len(self._told) - (self.sequence - sequence) :]

    async def recall(self, sequence: int) -> Sequence[Told] | None:
        """The same, with what only the state knows any more. Raises NotFound, StateUnavailable."""
        if sequence > self.sequence:
            # It may be that we are the one who is late.
            await self._reached(sequence)
        kept = self.since(sequence)
        if kept is not None or sequence > self.sequence:
            return kept
        recent = await asyncio.to_thread(self._store.changes.since, self.event_id, sequence, KEPT)
        # It may be ahead of what was read here: who goes on from there would be taken for one who knows too much.
        await self._reached(recent.sequence)
        return None if recent.changes is None else [Told(change) for change in recent.changes]

    async def wait(self, sequence: int, seconds: float) -> None:
        """Returns once there is more than a change, or the time is over."""
        until = time.monotonic() + seconds
        while self.sequence == sequence and not self._stopped and (left := until - time.monotonic()) > 0:
            await asyncio.wait([self._next], timeout=left)

    async def picture(self) -> tuple[int, bytes]:
        """All seats, as a `snapshot` event, and the number of the last change in it, from which on `since` knows all.
        Raises NotFound, StateUnavailable."""
        async with self._drawing:
            drawn = self._picture
            if drawn is None or time.monotonic() - drawn[1] > _PICTURE_S or self.since(drawn[0]) is None:
                at = time.monotonic()
                seats = await asyncio.to_thread(self._seats)
                data = seats.model_dump_json(by_alias=True).encode()
                drawn = self._picture = (seats.sequence, at, sse.event("snapshot", data, seats.sequence))
        # It may have what has not come this way yet, and would be told again.
        await self._reached(drawn[0])
        if self.since(drawn[0]) is None:
            raise StateUnavailable
        return drawn[0], drawn[2]

    def _seats(self) -> SeatMap:
        seats = self._store.events.seat_map(self.event_id)[1]
        if seats is None:
            raise AssertionError("who knows no ETag is given the seats")
        return seats

    async def _reached(self, sequence: int) -> None:
        until = time.monotonic() + _CATCH_UP_S
        while self.sequence < sequence and not self._stopped and (left := until - time.monotonic()) > 0:
            await asyncio.wait([self._next], timeout=left)

    async def _begin(self) -> None:
        recent: Recent = await asyncio.to_thread(self._store.changes.since, self.event_id, -1, KEPT)
        self.sequence, self._position = recent.sequence, recent.position
        self._told = [Told(change) for change in recent.changes or ()]
        self._picture = None

    async def _read(self) -> None:
        """Reads on, whatever becomes of the state."""
        retry_s = _RETRY_S
        heard = time.monotonic()
        while not self._stopped:  # redis-py's client has been seen to swallow a cancellation
            try:
                position, changes = await self._tail.after(self.event_id, self._position)
                if not self._follow(changes):
                    # Some were trimmed before they were read, the state has lost what it had said, or a later version
                    # has said what is not understood here.
                    log.warning("changes lost", event_id=self.event_id, known=self.sequence)
                    await self._begin()
                    await self._each(lambda watcher: watcher.reset())
                    self._wake()
                    continue
            except (redis.RedisError, OSError, ReservationError) as error:
                log.warning("changes not read", event_id=self.event_id, error=str(error.__cause__ or error))
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _RETRY_MAX_S)
                continue
            retry_s = _RETRY_S
            if changes:
                await self._publish(position, changes)
            if time.monotonic() - heard > HEARTBEAT_S:
                heard = time.monotonic()
                await self._tell(sse.heartbeat(self.sequence))

    def _follow(self, changes: Sequence[Change] | None) -> TypeGuard[Sequence[Change]]:
        """Whether changes are those that come after what is known."""
        return changes is not None and [change.sequence for change in changes] == list(
            range(self.sequence + 1, self.sequence + 1 + len(changes))
        )

    async def _publish(self, position: str, changes: Sequence[Change]) -> None:
        told = [Told(change) for change in changes]
        # Before anybody is told: who begins to watch meanwhile is given them as what was before.
        self._told = [*self._told, *told][-KEPT:]
        self.sequence, self._position = changes[-1].sequence, position
        self._wake()
        await self._tell(b"".join(one.event for one in told))
        now_ms = time.time() * 1000
        for change in changes:
            metrics.change_told(max(0.0, now_ms - change.time) / 1000)

    def _wake(self) -> None:
        woken, self._next = self._next, asyncio.get_running_loop().create_future()
        woken.set_result(None)

    async def _tell(self, events: bytes) -> None:
        data = sse.chunk(events)
        await self._each(lambda watcher: watcher.tell(data))

    async def _each(self, do: Callable[[Watcher], None]) -> None:
        """Does something for each who watches by now."""
        for number, watcher in enumerate(list(self.watchers), 1):
            do(watcher)
            if not number % _SLICE:
                await asyncio.sleep(0)
