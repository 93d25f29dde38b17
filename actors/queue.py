"""The queue as the API, the workers and the sweeper use it."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import redis
import structlog
from dramatiq import Message
from dramatiq.middleware import Retries
from dramatiq.results import Results

from actors.broker import ReservationBroker
from actors.jobs import QUEUE, Actors, declare
from actors.lanes import VIP
from actors.middleware import Heartbeat, LogContext, Traced
from actors.results import LedgerBackend
from actors.rounds import JOBS_ON_THEIR_WAY
from reservation import tracing
from reservation.clients import SOCKET_TIMEOUT_S, Command, is_transient
from reservation.errors import QueueFull, StateUnavailable
from reservation.guard import PROBE_TIMEOUT_S, Guard
from reservation.ids import JobId, joined, new_message_id
from reservation.jobs import Task
from reservation.rounds import step
from reservation.servers import Servers
from reservation.settings import Settings
from reservation.store import Store

log = structlog.get_logger()


def shard_names(count: int) -> list[str]:
    """The queues among which events are shared out."""
    return [QUEUE] if count == 1 else [f"{QUEUE}-{number}" for number in range(count)]


def _is_infrastructure(_: int, error: BaseException) -> bool:
    return isinstance(error, StateUnavailable)


class Backlog:
    """How many messages wait, as it was when last counted.

    Arguments:
        broker: whose queues are counted.
        servers: to count with.
        limit: most messages that may wait.
    """

    def __init__(self, broker: ReservationBroker, servers: Servers, limit: int) -> None:
        self._broker = broker
        self._servers = servers
        self._limit = limit
        self._messages = 0

    def count(self) -> None:
        """Counts them. Raises redis.RedisError."""
        self._messages = 0  # of a queue that does not answer: it keeps no job from being accepted
        self._messages = self._broker.depth(self._broker.queues, self._servers)

    def check(self) -> None:
        """Raises QueueFull if as many wait as may."""
        if self._messages >= self._limit:
            raise QueueFull(self._limit)


@dataclass(frozen=True)
class Queue:
    """The broker with its actors, and the sending of messages. Its guard has to be started where requests
    must not wait for a server that is gone, nor make a queue grow without end; it counts the backlog."""

    broker: ReservationBroker
    actors: Actors
    shards: Sequence[str]
    guard: Guard
    backlog: Backlog
    _posted: deque[Message[Any]] = field(default_factory=deque, init=False)

    @classmethod
    def connect(
        cls, settings: Settings, store: Store, *, connections: int, timeout_s: float = SOCKET_TIMEOUT_S
    ) -> "Queue":
        """Builds the broker and declares the actors; nothing is sent yet.

        Of Dramatiq's default middleware only what a job needs is there: no age or time limit (the
        ledger has the deadline), no pipelines, no callbacks.

        Arguments:
            connections: most connections to the queue's database at once.
            timeout_s: longest wait for its reply, seconds.
        """
        broker = ReservationBroker(
            settings.queue_url,
            [
                *([Traced()] if tracing.is_on() else []),
                LogContext(),
                Heartbeat(store),
                Results(backend=LedgerBackend(store), result_ttl=settings.result_ttl_ms),
                # Delays grow exponentially and are jittered (dramatiq.common.compute_backoff).
                Retries(
                    min_backoff=round(settings.retry_min_delay * 1000),
                    max_backoff=round(settings.retry_max_delay * 1000),
                    retry_when=_is_infrastructure,
                ),
            ],
            connections=connections,
            # As many at hand for each thread as it has on their way.
            prefetch=2 * JOBS_ON_THEIR_WAY * settings.worker_threads,
            timeout_s=timeout_s,
        )
        backlog = Backlog(broker, broker.servers.beside(timeout_s=PROBE_TIMEOUT_S), settings.max_queued_messages)
        shards = shard_names(settings.queue_shards)
        for name in shards:
            broker.declare_queue(name)
            broker.declare_queue(name + VIP)
        return cls(broker, declare(broker, store, shards[0]), shards, Guard("broker", backlog.count), backlog)

    def post_job(self, job_id: JobId, task: Task) -> None:
        """Sends a job's message; in a round, with those of the other requests that have come as far."""
        with tracing.sending(self._shard(job_id.event)):
            self._posted.append(self._message(job_id, task))  # here: who sends it knows nothing of the request
            if not step():
                self.send_posted()

    def send_posted(self) -> None:
        """Sends the messages of a round in one go."""
        messages: list[Message[Any]] = []
        with suppress(IndexError):  # one by one: another thread may be posting, or sending, too
            while True:
                messages.append(self._posted.popleft())
        self._send(messages)

    def send_jobs(self, jobs: Sequence[tuple[JobId, Task]]) -> bool:
        """Sends the messages of jobs in one go. Returns False if the queue cannot be reached: the jobs are in
        the ledger, and the sweeper sends what was not sent."""
        return self._send([self._message(job_id, task) for job_id, task in jobs])

    def send_releases(self, event_ids: Sequence[str]) -> bool:
        """Sends the messages that free events' due holds in one go. Returns False as `send_jobs` does."""
        release = self.actors.release_expired
        return self._send([release.message(event_id).copy(queue_name=self._shard(event_id)) for event_id in event_ids])

    def _shard(self, event_id: str) -> str:
        """The queue of an event: the same for whoever has as many."""
        return self.shards[crc32(event_id.encode()) % len(self.shards)]

    def _message(self, job_id: JobId, task: Task) -> Message[Any]:
        actor = self.actors.hold_seat if task.type == "HOLD_SEAT" else self.actors.reserve_seat
        # With all that the script needs to know, so that the worker need not read it in the ledger. The
        # script compares.
        arguments = {"seat_id": joined(task.seats), "user": task.user, "request_id": task.request_id}
        # As `actor.message` makes it, but for the id: a UUID of the system's costs as much as all else here.
        queue_name = self._shard(job_id.event) + (VIP if task.vip else "")
        return Message(queue_name, actor.actor_name, (str(job_id),), arguments, tracing.caller(), new_message_id())

    def _send(self, messages: list[Message[Any]]) -> bool:
        if not messages:
            return True
        if not self.guard.closed:
            return False
        error: redis.RedisError | None = None
        # In a cluster another queue will do: every worker looks at all of them.
        for _ in self.shards if self.broker.servers.many else self.shards[:1]:
            try:
                failed = self.broker.enqueue_all(messages)
            except redis.RedisError as nothing_sent:
                error = nothing_sent
                break
            messages = [
                message.copy(queue_name=self._after(message.queue_name))
                for message in messages
                if message.queue_name in failed
            ]
            if not messages:
                return True
            error = next(iter(failed.values()))
        # Whatever it is: the jobs were accepted, and to say anything else would be untrue.
        tell = log.error if error is not None and not is_transient(error) else log.warning
        tell("queue unreachable", messages=len(messages), error=str(error))
        return False

    def _after(self, name: str) -> str:
        """Another queue for the same jobs."""
        lane = self._vip if name.endswith(VIP) else self.shards
        return lane[(lane.index(name) + 1) % len(lane)]

    def reachable(self) -> bool:
        """Whether the queue's database takes messages: one that is full or read-only still answers."""
        if not self.guard.closed:
            return False
        names = [*self.shards, *self._vip]
        probes: list[Command] = [("SET", self.broker.key(name, ".probe"), 1, "PX", 1_000) for name in names]
        return not any(isinstance(reply, redis.RedisError) for reply in self.broker.servers.send(probes))

    @property
    def _vip(self) -> list[str]:
        return [shard + VIP for shard in self.shards]

    def depth(self, *, vip: bool = False) -> int:
        """Messages that wait, or only those of VIP jobs. Raises redis.RedisError."""
        return self.broker.depth(self._vip if vip else [*self.shards, *self._vip])

    def waiting(self) -> int | None:
        """Messages that wait; None if the queue cannot be reached."""
        try:
            return self.depth()
        except redis.RedisError:
            return None
