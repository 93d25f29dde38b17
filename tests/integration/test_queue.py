"""The queue as the API meets it: full, read-only, broken or gone, it keeps no job from being accepted."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import redis
from dramatiq import Message

from actors.jobs import QUEUE
from actors.queue import Queue
from reservation.embedded import EmbeddedRedis
from reservation.errors import QueueFull
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from tests.servers import hanging


@pytest.fixture
def short(server: EmbeddedRedis, make_settings: Callable[..., Settings], store: Store) -> Iterator[Queue]:
    """A queue in which one message may wait."""
    queue = Queue.connect(make_settings(broker_url=server.url(), max_queued_messages=1), store, connections=2)
    yield queue
    queue.broker.servers.close()


@pytest.mark.parametrize(
    ("fault", "cure"),
    [("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"), ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE")],
)
def test_a_queue_that_takes_no_messages_is_shown_as_down(short: Queue, fault: str, cure: str) -> None:
    """Although it answers: what is accepted waits for the sweeper."""
    assert short.reachable()
    short.broker.servers.send([tuple(fault.split())])
    assert not short.reachable()
    short.broker.servers.send([tuple(cure.split())])
    assert short.reachable()


def test_whatever_the_queue_refuses_a_job_stays_accepted(short: Queue, event: Event) -> None:
    """Also what does not pass by itself: an error here would be told of a job that is in the ledger."""
    short.broker.servers.client.set(f"{{dramatiq:{QUEUE}}}:{QUEUE}", "not a list")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        short.broker.servers.client.rpush(f"{{dramatiq:{QUEUE}}}:{QUEUE}", 1)
    assert not short.send_jobs([(JobId.new(event.id), Task("HOLD_SEAT", (SeatId(event.id, 1),), str(uuid4()), ""))])


def test_a_queue_that_is_gone_is_not_full(short: Queue, server: EmbeddedRedis, event: Event) -> None:
    """Nobody knows how long it is, and the ledger takes the job."""
    short.send_jobs([(JobId.new(event.id), Task("HOLD_SEAT", (SeatId(event.id, 1),), str(uuid4()), ""))])
    short.backlog.count()
    with pytest.raises(QueueFull):
        short.backlog.check()
    server.stop()
    with pytest.raises(redis.ConnectionError):
        short.backlog.count()
    short.backlog.check()


def test_a_step_of_the_hosts_clock_does_not_move_the_queues(short: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on by the monotonic one; a step read as lag delayed lost jobs by half a minute."""
    before = short.broker.now_ms()
    real = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: real + 60_000_000_000)
    assert short.broker.now_ms() - before < 5_000


def test_jobs_that_several_threads_post_are_all_sent_once(
    short: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests whose connection is busy are answered by other threads than the loop's."""
    task = Task("HOLD_SEAT", (SeatId(event.id, 1),), str(uuid4()), "")
    jobs = [JobId.new(event.id) for _ in range(20_000)]
    sent: list[JobId] = []
    # What is sent is at stake, not the sending: a round trip between two lines would hide it.
    monkeypatch.setattr(Queue, "_send", lambda _, posted: sent.extend(JobId.parse(each.args[0]) for each in posted))

    def post(first: int) -> None:
        for job in jobs[first::4]:
            short.post_job(job, task)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(post, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert len(sent) == len(jobs)
    assert set(sent) == set(jobs)


def test_nothing_to_send_is_no_command(short: Queue) -> None:
    """Another thread may have sent what a round has posted."""
    assert short.send_jobs([])
    assert short.depth() == 0


def test_one_server_is_asked_once_however_many_queues_it_has(
    server: EmbeddedRedis,
    make_settings: Callable[..., Settings],
    store: Store,
    event: Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another queue helps where it may be on another server. On one that hangs it is one more wait, in the API loop."""
    settings = make_settings(broker_url=server.url(), queue_shards=8)
    queue = Queue.connect(settings, store, connections=2, timeout_s=0.1)
    asked: list[int] = []
    enqueue = queue.broker.enqueue_all

    def count(messages: Sequence[Message[Any]]) -> dict[str, redis.RedisError]:
        asked.append(len(messages))
        return enqueue(messages)

    task = Task("HOLD_SEAT", (SeatId(event.id, 1),), str(uuid4()), "")
    assert queue.send_jobs([(JobId.new(event.id), task)])
    monkeypatch.setattr(queue.broker, "enqueue_all", count)
    with hanging(server):
        assert not queue.send_jobs([(JobId.new(event.id), task)])
    assert asked == [1]
    queue.broker.servers.close()
