"""The broker: Dramatiq's, over Redis, with a consumer that waits and the server's clock."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import dramatiq
import orjson
import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from dramatiq.errors import DecodeError
from dramatiq.middleware import Middleware

from actors.consumer import BLOCK_S, WakingConsumer
from reservation.clients import SOCKET_TIMEOUT_S, Command, Sent, connect, script_call, send
from reservation.guard import ServerClock
from reservation.rounds import RoundPipelining

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


class _Encoder(dramatiq.Encoder):
    """Messages as JSON, as Dramatiq's own encoder does it."""

    def encode(self, data: dict[str, Any]) -> bytes:
        """As bytes."""
        return orjson.dumps(data)

    def decode(self, data: bytes) -> dict[str, Any]:
        """Back again. Raises DecodeError."""
        try:
            decoded: dict[str, Any] = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise DecodeError("failed to decode message", data, error) from None
        return decoded


dramatiq.set_encoder(_Encoder())


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
        self._pipelining = RoundPipelining(lambda commands: Sent(self.client, commands, self.scripts.values()))
        self._done: dict[str, deque[str]] = {}
        self._clock = ServerClock(self._ask_time)
        self._read_again = 0.0

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> WakingConsumer:
        """A consumer of a queue. Dramatiq's prefetch counts for delayed messages only."""
        delayed = queue_name in self.delay_queues
        done = self._done.setdefault(queue_name, deque())
        return WakingConsumer(self, queue_name, prefetch if delayed else self._prefetch, done, delayed=delayed)

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
        self._run([self._command("enqueue", queue_name, *args), *self._wake(queue_name)])

    def enqueue_all(self, queue_name: str, messages: Sequence[Message[Any]]) -> None:
        """Enqueues new messages of one queue in one go. Raises redis.RedisError; some may have been sent then.

        What Dramatiq's script does for each, in four commands for all; no middleware of ours has anything to
        do before or after.
        """
        key, sent_at = f"{self.namespace}:{queue_name}", self.now_ms()
        data: list[str | bytes] = []
        for message in messages:
            message.options.update(redis_message_id=message.message_id, sent_at=sent_at)
            data += (message.message_id, message.encode())
        self._run([("HSET", f"{key}.msgs", *data), ("RPUSH", key, *data[::2]), *self._wake(queue_name)])

    def do_requeue(self, queue_name: str, *ids: str) -> None:
        self._run([self._command("requeue", queue_name, *ids), *self._wake(queue_name)])

    def take(
        self, queue_name: str, room: int, done: Sequence[str], waiter: redis.Redis | None = None, block_s: float = 0
    ) -> list[bytes]:
        """Messages to be worked on; acknowledges others on the way. Raises redis.RedisError.

        Arguments:
            room: most messages; 0: only acknowledges.
            done: ids of messages that have been dealt with.
            waiter: what to wait with for a message, if none is there.
            block_s: longest such wait, seconds.
        """
        commands: list[Command] = []
        if done:  # what Dramatiq's script does for each, in two commands for all
            acks = f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
            commands += [("SREM", acks, *done), ("HDEL", f"{self.namespace}:{queue_name}.msgs", *done)]
        if waiter is not None:
            # In one go with the fetch, which the server carries out as soon as there is a token.
            commands.append(("BLPOP", self.wake_key(queue_name), block_s))
        if room:
            # Whoever fetches sees all that the other tokens speak of.
            commands += [("DEL", self.wake_key(queue_name)), self._command("fetch", queue_name, room)]
        fetched = self._run(commands, waiter)[-1] if commands else []
        if not room:
            return []
        if len(fetched) == room:  # there may be more, for others
            with suppress(redis.RedisError):  # they look for themselves after a while; these are in hand
                self._run(self._wake(queue_name))
        # One that was fetched and is no longer there is None.
        return [data for data in fetched if data is not None]

    def _wake(self, queue_name: str) -> list[Command]:
        key = self.wake_key(queue_name)
        return [("LPUSH", key, 1), ("LTRIM", key, 0, WAKE_TOKENS - 1)]

    def _run(self, commands: list[Command], client: redis.Redis | None = None) -> list[Any]:
        """Sends commands in one go. Raises redis.RedisError if there is no reply, or one of them is an error."""
        if client is None:
            replies = self._pipelining.execute_all(commands)
        else:
            replies = send(client, commands, self.scripts.values())
        for reply in replies:
            if isinstance(reply, redis.RedisError):
                raise reply
        return replies

    def _dispatch(self, command: str) -> Callable[..., Any]:
        return lambda queue_name, *args: self._run([self._command(command, queue_name, *args)])[0]

    def _command(self, command: str, queue_name: str, *args: Any) -> Command:
        """A call of Dramatiq's script, as RedisBroker makes it but for the clock: with each host's own, a host
        whose clock is behind would look dead to the others."""
        return script_call(
            self.scripts["dispatch"],
            [self.namespace],
            [
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
        )

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
