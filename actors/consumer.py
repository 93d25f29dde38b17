"""Takes messages from a queue, waiting instead of polling.

Dramatiq's own Redis consumer sleeps between polls: a message that arrives at an idle worker waits up
to half a second. This one blocks in BLPOP on the queue's wake list, into which whoever enqueues puts a
token, and, when as many messages as it may have are in hand, on the next acknowledgement. A lost
token costs a second at most: after every wait it fetches.
"""

import threading
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

    Arguments:
        broker: whose queue it is.
        queue_name: which queue.
        prefetch: most messages in hand at once.
        delayed: whether they wait here until it is their time, for which Dramatiq looks between two messages.
    """

    def __init__(self, broker: "ReservationBroker", queue_name: str, prefetch: int, *, delayed: bool = False) -> None:
        self._broker = broker
        self._queue_name = queue_name
        self._prefetch = prefetch
        self._delayed = delayed
        self._fetched: deque[bytes] = deque()
        self._in_hand: set[str] = set()
        self._slot_free = threading.Event()
        # Of its own: a blocked connection is of no use to anybody else.
        self._waiter = broker.waiting_client()

    def __next__(self) -> MessageProxy | None:
        if not self._fetched:
            with _as_lost_connection():
                self._fetched.extend(data for data in self._fetch() if data is not None)
        if not self._fetched:
            return None
        message = Message.decode(self._fetched.popleft())
        self._in_hand.add(message.options["redis_message_id"])
        return MessageProxy(message)

    def _fetch(self) -> list[bytes | None]:
        self._slot_free.clear()
        if self._room() <= 0:
            self._slot_free.wait(self._block_s())
            if self._room() <= 0:
                return []
        messages: list[bytes | None] = self._broker.do_fetch(self._queue_name, self._room())
        if not messages:
            self._waiter.blpop([self._broker.wake_key(self._queue_name)], timeout=self._block_s())
            messages = self._broker.do_fetch(self._queue_name, self._room())
        return messages

    def _block_s(self) -> float:
        return _DELAYED_BLOCK_S if self._delayed and self._in_hand else BLOCK_S

    def _room(self) -> int:
        return self._prefetch - len(self._in_hand)

    def ack(self, message: MessageProxy) -> None:
        """Removes a message that was dealt with. Raises ConnectionClosed; Dramatiq then tries again."""
        self._settle(self._broker.do_ack, message)

    def nack(self, message: MessageProxy) -> None:
        """Moves a message that failed to the dead letters. Raises ConnectionClosed, as `ack` does."""
        self._settle(self._broker.do_nack, message)

    def _settle(self, command: "Command", message: MessageProxy) -> None:
        message_id = message.options["redis_message_id"]
        with _as_lost_connection():
            command(self._queue_name, message_id)
        self._in_hand.discard(message_id)
        self._slot_free.set()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Gives messages back for any worker to take."""
        self._give_back([message.options["redis_message_id"] for message in messages])

    def close(self) -> None:
        """Gives back what was fetched and not started, and ends the waiting connection."""
        rest = [Message.decode(data).options["redis_message_id"] for data in self._fetched]
        self._fetched.clear()
        try:
            self._give_back(rest)
        finally:
            self._waiter.close()

    def _give_back(self, ids: list[str]) -> None:
        if ids:
            with _as_lost_connection():
                self._broker.do_requeue(self._queue_name, *ids)


if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[[str, str], object]
