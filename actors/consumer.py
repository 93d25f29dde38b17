"""Takes messages from a queue, waiting instead of polling.

Dramatiq's own Redis consumer sleeps between polls: a message that arrives at an idle worker waits up
to half a second. This one blocks in BLPOP on the queue's wake list, into which whoever enqueues puts a
token, and, when as many messages as it may have are in hand, on the next acknowledgement. A lost
token costs a second at most: after every wait it fetches.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.errors import ConnectionClosed

from reservation.clients import is_transient

if TYPE_CHECKING:
    from actors.broker import ReservationBroker

#: Longest wait for a token, seconds. Also how soon a stopping worker's consumer notices.
BLOCK_S = 1.0
#: The same for a consumer of delayed messages that has some, seconds: how late they may go on.
_DELAYED_BLOCK_S = 0.1
#: Pause after a fetch that found messages, seconds.
_PAUSE_S = 0.005


@contextmanager
def _as_lost_connection() -> Iterator[None]:
    """Raises ConnectionClosed for what passes by itself. It is the one error that Dramatiq tries again after:
    a redis.TimeoutError in an acknowledgement it abandons (https://github.com/Bogdanp/dramatiq/issues/894),
    and any other error while messages are given back ends the consumer's thread for good."""
    try:
        yield
    except redis.RedisError as error:
        if not is_transient(error):
            raise
        raise ConnectionClosed(error) from None


class WakingConsumer(Consumer):
    """One queue's messages, for one worker process.

    Messages that were dealt with are acknowledged with the next fetch: until then another worker would get
    them if this one died, and find nothing left to do.

    Arguments:
        broker: whose queue it is.
        queue_name: which queue.
        prefetch: most messages in hand at once.
        done: where the ids of messages that are to be acknowledged are kept. It outlives the consumer, of
            which Dramatiq makes another once a connection is lost.
        delayed: whether they wait here until it is their time, for which Dramatiq looks between two messages.
    """

    def __init__(
        self, broker: "ReservationBroker", queue_name: str, prefetch: int, done: deque[str], *, delayed: bool = False
    ) -> None:
        self._broker = broker
        self._queue_name = queue_name
        self._prefetch = prefetch
        # So many are fetched at once where they wait: a round trip for each would cost more than the work.
        self._refill = 1 if delayed else max(1, prefetch // 2)
        self._done = done
        self._delayed = delayed
        self._fetched: deque[bytes] = deque()
        self._in_hand: set[str] = set()
        self._slot_free = threading.Event()
        self._not_before = 0.0
        # Of its own: a blocked connection is of no use to anybody else.
        self._waiter = broker.waiting_servers()

    def __next__(self) -> MessageProxy | None:
        if not self._fetched:
            with _as_lost_connection():
                self._fetched.extend(self._fetch())
        if not self._fetched:
            return None
        message = Message.decode(self._fetched.popleft())
        self._in_hand.add(message.options["redis_message_id"])
        return MessageProxy(message)

    def _fetch(self) -> list[bytes]:
        self._slot_free.clear()
        if self._room() < self._refill:
            self._slot_free.wait(self._block_s())
            if self._room() <= 0:
                return []
        # At once if nothing came for a while. Under load a little later, and then more at once: a round trip
        # for each message would cost both sides more than the work.
        time.sleep(max(0.0, self._not_before - time.monotonic()))
        messages = self._take(self._room()) or self._take(self._room(), self._block_s())
        self._not_before = time.monotonic() + _PAUSE_S if messages else 0.0
        return messages

    def _take(self, room: int, block_s: float = 0) -> list[bytes]:
        done = list(self._done)
        waiter = self._waiter if block_s else None
        messages = self._broker.take(self._queue_name, room, done, waiter, block_s)
        for _ in done:
            self._done.popleft()
        return messages

    def _block_s(self) -> float:
        return _DELAYED_BLOCK_S if self._delayed and self._in_hand else BLOCK_S

    def _room(self) -> int:
        return self._prefetch - len(self._in_hand)

    def ack(self, message: MessageProxy) -> None:
        """Notes that a message was dealt with."""
        message_id = message.options["redis_message_id"]
        self._done.append(message_id)
        self._let_go(message_id)

    def nack(self, message: MessageProxy) -> None:
        """Moves a message that failed to the dead letters. Raises ConnectionClosed; Dramatiq then tries again."""
        message_id = message.options["redis_message_id"]
        with _as_lost_connection():
            self._broker.do_nack(self._queue_name, message_id)
        self._let_go(message_id)

    def _let_go(self, message_id: str) -> None:
        self._in_hand.discard(message_id)
        if self._room() >= self._refill:
            self._slot_free.set()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Gives messages back for any worker to take."""
        self._give_back([message.options["redis_message_id"] for message in messages])

    def close(self) -> None:
        """Gives back what was fetched and not started, acknowledges what was dealt with, and ends the waiting
        connection."""
        rest = [Message.decode(data).options["redis_message_id"] for data in self._fetched]
        self._fetched.clear()
        try:
            self._give_back(rest)
            with _as_lost_connection():
                self._take(0)
        finally:
            self._waiter.close()

    def _give_back(self, ids: list[str]) -> None:
        if ids:
            with _as_lost_connection():
                self._broker.do_requeue(self._queue_name, *ids)
