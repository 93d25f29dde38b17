"""The broker: Dramatiq's, over Redis, with a consumer that waits and the server's clock."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from dramatiq.middleware import Middleware

from actors.consumer import BLOCK_S, WakingConsumer
from reservation.clients import SOCKET_TIMEOUT_S, connect
from reservation.guard import ServerClock

#: A worker that was not heard of for so long is dead, ms: its messages go to the others. Every
#: command of a worker says that it lives; an idle one sends one a second.
HEARTBEAT_TIMEOUT_MS = 5_000
#: How many commands in a million look for dead workers: each, so that a crash is made good in
#: seconds. It is a range query on a small sorted set.
MAINTENANCE_CHANCE = 1_000_000
#: Most tokens in a wake list. More would wake workers that are awake.
WAKE_TOKENS = 64
#: How long the difference to the server's clock is relied on, seconds.
_CLOCK_TTL_S = 30.0


class ReservationBroker(RedisBroker):
    """Dramatiq's Redis broker, so that its messages, queues and tools stay what they are.

    Arguments:
        url: the queue's database; not the state's, because maintenance looks through all its keys.
        middleware: as for any broker.
        connections: most connections at once.
        prefetch: most messages a worker process has in hand.
        timeout_s: longest wait for a reply, seconds.
    """

    def __init__(
        self,
        url: str,
        middleware: list[Middleware],
        *,
        connections: int,
        prefetch: int,
        timeout_s: float = SOCKET_TIMEOUT_S,
    ) -> None:
        # Dramatiq's own client for a URL would not retry at all.
        super().__init__(
            client=connect(url, connections=connections, decode=False, timeout_s=timeout_s),
            middleware=middleware,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
            maintenance_chance=MAINTENANCE_CHANCE,
        )
        self._url = url
        self._prefetch = prefetch
        self._batching = threading.local()
        self._clock = ServerClock(self._ask_time)
        self._read_again = 0.0

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> WakingConsumer:
        """A consumer of a queue. Dramatiq's prefetch counts for delayed messages only."""
        delayed = queue_name in self.delay_queues
        return WakingConsumer(self, queue_name, prefetch if delayed else self._prefetch, delayed=delayed)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Enqueues a message, with the time by the server's clock (option `sent_at`, epoch ms)."""
        sent: Message[Any] = super().enqueue(message.copy(options={"sent_at": self.now_ms()}), delay=delay)
        return sent

    def waiting_client(self) -> redis.Redis:
        """A client for one thread that blocks."""
        return connect(self._url, connections=1, decode=False, block_s=BLOCK_S)

    def wake_key(self, queue_name: str) -> str:
        return f"{self.namespace}:{queue_name}.wake"

    def do_enqueue(self, queue_name: str, *args: Any) -> None:
        batch: redis.client.Pipeline | None = getattr(self._batching, "pipe", None)
        self._dispatch("enqueue", batch)(queue_name, *args)
        self._wake(queue_name, batch)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Sends what this thread enqueues in one go, on leaving. Raises redis.RedisError there; some of it may
        have been sent then."""
        with self.client.pipeline(transaction=False) as pipe:
            self._batching.pipe = pipe
            try:
                yield
            finally:
                self._batching.pipe = None
            pipe.execute()

    def do_requeue(self, queue_name: str, *ids: str) -> None:
        self._dispatch("requeue")(queue_name, *ids)
        self._wake(queue_name)

    def _wake(self, queue_name: str, batch: "redis.client.Pipeline | None" = None) -> None:
        key = self.wake_key(queue_name)
        if batch is not None:
            batch.lpush(key, 1)
            batch.ltrim(key, 0, WAKE_TOKENS - 1)
        elif self.client.lpush(key, 1) > WAKE_TOKENS:
            self.client.ltrim(key, 0, WAKE_TOKENS - 1)

    def _dispatch(self, command: str, batch: "redis.client.Pipeline | None" = None) -> Callable[..., Any]:
        # As in RedisBroker, but for the clock: with each host's own, a host whose clock is behind
        # would look dead to the others.
        script = self.scripts["dispatch"]

        def dispatch(queue_name: str, *args: Any) -> Any:
            return script(
                keys=[self.namespace],
                args=[
                    command,
                    self.now_ms(),
                    queue_name,
                    self.broker_id,
                    self.heartbeat_timeout,
                    self.dead_message_ttl,
                    self._should_do_maintenance(command),
                    self._max_unpack_size(),
                    *args,
                ],
                client=batch,
            )

        return dispatch

    def now_ms(self) -> int:
        """The server's clock, epoch ms, asked for every half minute. Raises redis.RedisError."""
        if time.monotonic() > self._read_again:
            self._clock.read()
            self._read_again = time.monotonic() + _CLOCK_TTL_S
        return self._clock.in_ms(0)

    def _ask_time(self) -> float:
        seconds, micros = self.client.time()
        return float(seconds * 1e3 + micros / 1e3)

    def depth(self, queue_name: str, client: redis.Redis | None = None) -> int:
        """Messages waiting in a queue, those to be sent later included. Raises redis.RedisError.

        Arguments:
            client: what to ask with, if not the broker's own.
        """
        with (client or self.client).pipeline(transaction=False) as pipe:
            for name in (queue_name, dq_name(queue_name)):
                pipe.llen(f"{self.namespace}:{name}")
            return sum(pipe.execute())
