"""The broker: Dramatiq's, over Redis, with a consumer that waits and the server's clock."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, cast

import dramatiq
import orjson
import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name, q_name
from dramatiq.errors import DecodeError
from dramatiq.middleware import Middleware

from actors.consumer import BLOCK_S, WakingConsumer
from actors.lanes import VIP
from reservation.clients import SOCKET_TIMEOUT_S, Command, Script, script_call
from reservation.connections import connect
from reservation.guard import ServerClock
from reservation.metrics import timed
from reservation.rounds import RoundPipelining
from reservation.servers import Servers

#: A worker that was not heard of for so long is dead, ms: its messages go to the others. Every
#: command of a worker says that it lives; an idle one sends one a second.
HEARTBEAT_TIMEOUT_MS = 5_000
#: How often a worker looks for dead ones, seconds. Dramatiq's script does so with what it is called for anyway, but
#: looks through all keys of the database for what they had in hand (docs/decisions/0018-cluster.md).
_LOOK_S = 1.0
#: Most messages that Dramatiq's script takes at a time: Lua's stack has room for 8,000 values.
_MOST_FETCHED = 4_000
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

    A queue's keys share a hash tag, so that in a cluster a queue is in one slot, and several queues on several nodes.

    Arguments:
        url: the queue's servers.
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
        servers = connect(url, connections=connections, decode=False, timeout_s=timeout_s)
        super().__init__(
            # All that is asked of it is to register scripts. Dramatiq's own for a URL would not retry at all.
            client=servers,
            middleware=middleware,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        )
        self.servers = servers
        self._find_dead, self._take_over = (
            servers.register_script(files("actors.lua").joinpath(f"{name}.lua").read_text(encoding="utf-8"))
            for name in ("find_dead", "take_over")
        )
        self._prefetch = prefetch
        self._pipelining = RoundPipelining(timed("broker", servers.begin))
        self._done: dict[str, deque[str]] = {}
        self._looked: dict[str, float] = {}
        self._clock = ServerClock(self._ask_time)
        self._read_again = 0.0

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> WakingConsumer:
        """A consumer of a queue. Dramatiq's prefetch counts for delayed messages only."""
        delayed = queue_name in self.delay_queues
        done = self._done.setdefault(queue_name, deque())
        # Of a VIP queue more: most of what a worker begins comes from there, and while it runs out of them between two
        # fetches, the others get their turns (docs/decisions/0026-turns.md).
        most = self._prefetch * (2 if queue_name.endswith(VIP) else 1)
        return WakingConsumer(self, queue_name, prefetch if delayed else most, done, delayed=delayed)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Enqueues a message, with the time by the server's clock (option `sent_at`, epoch ms)."""
        sent: Message[Any] = super().enqueue(message.copy(options={"sent_at": self.now_ms()}), delay=delay)
        return sent

    def waiting_servers(self) -> Servers:
        """The queue's servers, for one thread that blocks."""
        return self.servers.beside(block_s=BLOCK_S)

    def key(self, queue_name: str, suffix: str = "") -> str:
        """A queue's key, as Dramatiq's script calls it in the queue's namespace."""
        return f"{self.space(queue_name)}:{queue_name}{suffix}"

    def space(self, queue_name: str) -> str:
        """The namespace of a queue and its delayed messages."""
        return f"{{{self.namespace}:{q_name(queue_name)}}}"

    def wake_key(self, queue_name: str) -> str:
        return self.key(queue_name, ".wake")

    def do_enqueue(self, queue_name: str, *args: Any) -> None:
        self._run([self._command("enqueue", queue_name, *args), *self._wake(queue_name)])

    def enqueue_all(self, messages: Sequence[Message[Any]]) -> dict[str, redis.RedisError]:
        """Enqueues new messages in one go. Returns the queues that have not, or not surely, taken theirs, and why.
        Raises redis.RedisError if nothing was sent.

        What Dramatiq's script does for each, in four commands for all of a queue; no middleware of ours has
        anything to do before or after.
        """
        sent_at = self.now_ms()
        data: dict[str, list[str | bytes]] = {}
        for message in messages:
            message.options.update(redis_message_id=message.message_id, sent_at=sent_at)
            data.setdefault(message.queue_name, []).extend((message.message_id, message.encode()))
        commands: list[tuple[str, Command]] = []
        for queue_name, pairs in data.items():
            commands.append((queue_name, ("HSET", self.key(queue_name, ".msgs"), *pairs)))
            commands.append((queue_name, ("RPUSH", self.key(queue_name), *pairs[::2])))
            commands += [(queue_name, command) for command in self._wake(queue_name)]
        replies = self._pipelining.execute_all([command for _, command in commands])
        failed = zip(commands, replies, strict=True)
        return {queue_name: reply for (queue_name, _), reply in failed if isinstance(reply, redis.RedisError)}

    def do_requeue(self, queue_name: str, *ids: str) -> None:
        self._run([self._command("requeue", queue_name, *ids), *self._wake(queue_name)])

    def take(
        self, queue_name: str, room: int, done: Sequence[str], waiter: Servers | None = None, block_s: float = 0
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
            acks = self._acks(queue_name, self.broker_id)
            commands += [("SREM", acks, *done), ("HDEL", self.key(queue_name, ".msgs"), *done)]
        if waiter is not None:
            # In one go with the fetch, which the server carries out as soon as there is a token.
            commands.append(("BLPOP", self.wake_key(queue_name), block_s))
        if room:
            # Whoever fetches sees all that the other tokens speak of.
            commands += [("DEL", self.wake_key(queue_name)), self._command("fetch", queue_name, room)]
        fetched = self._run(commands, waiter)[-1] if commands else []
        if not room:
            return []
        self._look_for_dead(queue_name)
        if len(fetched) == room:  # there may be more, for others
            with suppress(redis.RedisError):  # they look for themselves after a while; these are in hand
                self._run(self._wake(queue_name))
        # One that was fetched and is no longer there is None.
        return [data for data in fetched if data is not None]

    def _wake(self, queue_name: str) -> list[Command]:
        key = self.wake_key(queue_name)
        return [("LPUSH", key, 1), ("LTRIM", key, 0, WAKE_TOKENS - 1)]

    def _look_for_dead(self, queue_name: str) -> None:
        """Gives back what dead workers had in hand, now and then."""
        queue_name = q_name(queue_name)
        now = time.monotonic()
        if now < self._looked.get(queue_name, 0.0):
            return
        self._looked[queue_name] = now + _LOOK_S
        names = [self._heartbeats(queue_name), self.key(queue_name, ".XQ"), self.key(queue_name, ".XQ.msgs")]
        before = self.now_ms() - self.heartbeat_timeout
        with suppress(redis.RedisError):  # next time, or by another worker; what was fetched is in hand
            old = self.now_ms() - self.dead_message_ttl
            (dead,) = self._run([script_call(self._find_dead, names, [before, old])])
            for worker_id in (each.decode() for each in dead):
                names = [self._heartbeats(queue_name)]
                for name in (queue_name, dq_name(queue_name)):
                    names += [self.key(name), self.key(name, ".msgs"), self._acks(name, worker_id)]
                (given,) = self._run([script_call(self._take_over, names, [worker_id, before])])
                if given:
                    self._run(self._wake(queue_name))

    def _heartbeats(self, queue_name: str) -> str:
        return f"{self.space(queue_name)}:__heartbeats__"

    def _acks(self, queue_name: str, worker_id: str) -> str:
        return f"{self.space(queue_name)}:__acks__.{worker_id}.{queue_name}"

    def _run(self, commands: Sequence[Command], servers: Servers | None = None) -> list[Any]:
        """Sends commands in one go. Raises redis.RedisError if there is no reply, or one of them is an error."""
        replies = self._pipelining.execute_all(commands) if servers is None else servers.send(commands)
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
            cast(Script, self.scripts["dispatch"]),
            self._names(queue_name),
            [
                command,
                self.now_ms(),
                queue_name,
                self.broker_id,
                self.heartbeat_timeout,
                self.dead_message_ttl,
                0,  # no maintenance: see _look_for_dead
                _MOST_FETCHED,
                *args,
            ],
        )

    def _names(self, queue_name: str) -> list[str]:
        """The namespace, by which Dramatiq's script makes up its keys; and those, so that a cluster can tell whether
        all of them are there."""
        queue, delayed = q_name(queue_name), dq_name(q_name(queue_name))
        names = [self.space(queue_name), self._heartbeats(queue_name)]
        for name in (queue, delayed):
            names += [self.key(name), self.key(name, ".msgs"), self._acks(name, self.broker_id)]
        return [*names, self.key(queue, ".XQ"), self.key(queue, ".XQ.msgs")]

    def now_ms(self) -> int:
        """The server's clock, epoch ms, asked for every half minute. Raises redis.RedisError."""
        if time.monotonic() > self._read_again:
            self._clock.read()
            self._read_again = time.monotonic() + _CLOCK_TTL_S
        return self._clock.in_ms(0)

    def _ask_time(self) -> float:
        seconds, micros = map(int, self.servers.probe(("TIME",)))
        return seconds * 1e3 + micros / 1e3

    def depth(self, queue_names: Iterable[str], servers: Servers | None = None) -> int:
        """Messages waiting in queues, those to be sent later included; of those that answer. Raises redis.RedisError
        if none does.

        Arguments:
            servers: what to ask with, if not the broker's own.
        """
        names = [self.key(name) for queue_name in queue_names for name in (queue_name, dq_name(queue_name))]
        replies = (servers or self.servers).send([("LLEN", name) for name in names])
        found = [reply for reply in replies if not isinstance(reply, redis.RedisError)]
        if not found:
            raise replies[0]
        return sum(found)
