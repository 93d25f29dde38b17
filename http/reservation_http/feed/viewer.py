"""One client of the stream."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from reservation import metrics
from reservation_http.feed import sse
from reservation_http.feed.connection import Connection
from reservation_http.feed.topic import Told, Topic


class Viewer:
    """Is sent all seats, or what it has missed, and then every change as it comes.

    Arguments:
        topic: the event.
        known: number of the last change that it knows; None if it knows none.
    """

    def __init__(self, topic: Topic, known: int | None) -> None:
        self._topic = topic
        self._sequence = known
        self._connection: Connection | None = None
        self._left = False
        #: Set when it is no longer told of changes.
        self._turned = asyncio.Event()

    async def begin(self) -> bytes:
        """What it begins with. Raises NotFound, StateUnavailable."""
        if self._sequence is None:
            return sse.opening() + await self._picture()
        told = await self._topic.recall(self._sequence)
        if told is None:
            return sse.opening() + _reset() + await self._picture()
        # Whatever has come meanwhile is told next: it is not for the heartbeat to be ahead of it.
        return sse.opening() + self._take(told) + sse.heartbeat(self._sequence)

    async def events(self, beginning: bytes, connection: Connection) -> AsyncIterator[bytes]:
        """The body of the answer, but for the changes that `tell` writes in between.

        Arguments:
            beginning: what `begin` returned.
            connection: where it is sent.
        """
        self._connection, connection.on_lost = connection, self.leave
        yield beginning
        while not self._left:
            missed = self._topic.since(self._sequence or 0)
            if missed is None or self._sequence is None:
                yield _reset() + await self._picture()
            elif missed:
                yield self._take(missed)
            else:  # it has all there is: from here to there, nothing is waited for
                self._turned.clear()
                self._topic.watchers.add(self)
                try:
                    await self._turned.wait()
                finally:
                    self._topic.watchers.discard(self)

    def tell(self, data: bytes) -> None:
        """Writes events, as a chunk."""
        if self._connection is not None and not self._connection.write_chunk(data):
            metrics.FEED_DROPPED.inc()
            self.leave()

    def reset(self) -> None:
        """What it knows is void: it begins anew."""
        self._sequence = None
        self._turn()

    def leave(self) -> None:
        """Is told no more."""
        self._left = True
        self._turn()

    def _turn(self) -> None:
        self._topic.watchers.discard(self)
        self._turned.set()

    async def _picture(self) -> bytes:
        self._sequence, drawn = await self._topic.picture()
        return drawn

    def _take(self, told: Sequence[Told]) -> bytes:
        if told:
            self._sequence = told[-1].change.sequence
        return b"".join(one.event for one in told)


def _reset() -> bytes:
    return sse.event("reset", b'{"reason":"trimmed"}')
