"""Worker processes that crash, are paused, lose a thread, or are stopped during an outage."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
import redis

from actors.broker import HEARTBEAT_TIMEOUT_MS
from actors.jobs import QUEUE
from actors.queue import Queue
from reservation import keys
from reservation.codes import Code
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.requests import Group
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import changes, wait_for
from tests.e2e.conftest import Process


class Stage(NamedTuple):
    """Two servers, an event, and what starts workers of one thread each. No sweeper: what it would make
    good is to be made good without it."""

    state: EmbeddedRedis
    broker: EmbeddedRedis
    store: Store
    queue: Queue
    event: Event
    start: Callable[..., Process]

    def send_holds(self, count: int) -> list[JobId]:
        jobs = []
        for number in range(1, count + 1):
            job = JobId.new(self.event.id)
            self.store.seats.accept_hold(SeatId(self.event.id, number), str(uuid4()), job)
            assert self.queue.send_jobs([(job, self.store.jobs.task(job))])
            jobs.append(job)
        return jobs

    def in_hand(self) -> int:
        """Messages that a worker has fetched and not acknowledged."""
        sets = self.queue.broker.servers.client.keys(f"{{dramatiq:{QUEUE}}}:__acks__.*.{QUEUE}")
        return sum(self.queue.broker.servers.client.scard(name) for name in sets)

    def ended(self, jobs: list[JobId]) -> bool:
        return all(self.store.jobs.read(job).ended for job in jobs)


@pytest.fixture
def stage(make_settings: Callable[..., Settings]) -> Iterator[Stage]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reservation-")))
        state = stack.enter_context(EmbeddedRedis(folder / "s"))
        broker = stack.enter_context(EmbeddedRedis(folder / "q"))
        store = Store.connect(make_settings(redis_url=state.url()), connections=4)
        queue = Queue.connect(make_settings(redis_url=state.url(), broker_url=broker.url()), store, connections=4)

        def start(*arguments: str) -> Process:
            process = Process(
                *("worker", "--threads", "1", *arguments),
                cwd=folder,
                REDIS_URL=state.url(),
                BROKER_URL=broker.url(),
                WORKER_SHUTDOWN_TIMEOUT="3",
            )
            stack.callback(lambda: process.process.poll() is not None or process.stop(signal.SIGKILL))
            process.wait_for_line("worker started")
            return process

        yield Stage(state, broker, store, queue, store.events.create("Opening night", 20), start)


@contextmanager
def stuck_with_messages(stage: Stage) -> Iterator[tuple[Process, list[JobId]]]:
    """A worker that waits for its state with messages in its hands. Afterwards the state answers."""
    worker = stage.start()
    jobs = []
    for number in range(1, 7):
        jobs.append(JobId.new(stage.event.id))
        stage.store.seats.accept_hold(SeatId(stage.event.id, number), str(uuid4()), jobs[-1])
    with redis.Redis.from_url(stage.state.url()) as admin:
        admin.client_pause(60_000, all=False)  # scripts wait; what is read is answered
        for job in jobs:
            assert stage.queue.send_jobs([(job, stage.store.jobs.task(job))])
        wait_for(lambda: stage.in_hand() == len(jobs))
        yield worker, jobs
        admin.client_unpause()


def _held_once(stage: Stage) -> None:
    seats = [change["seat"] for change in changes(stage.store, stage.event.id)]
    assert sorted(seats, key=int) == ["1", "2", "3", "4", "5", "6"]


def test_what_a_killed_worker_had_in_hand_is_carried_out_by_another(stage: Stage) -> None:
    """Within ten seconds, by the queue alone, which takes it back when the worker's heartbeat lapses."""
    with stuck_with_messages(stage) as (worker, jobs):
        worker.stop(signal.SIGKILL)
        killed = time.monotonic()
    stage.start()
    wait_for(lambda: stage.ended(jobs), 12)
    assert time.monotonic() - killed < 10
    _held_once(stage)


def test_a_worker_that_wakes_up_changes_nothing_twice(stage: Stage) -> None:
    """Stopped for longer than its heartbeat holds, it finds its jobs done by another, and does them again."""
    with stuck_with_messages(stage) as (sleeper, jobs):
        sleeper.process.send_signal(signal.SIGSTOP)
    time.sleep(HEARTBEAT_TIMEOUT_MS / 1000)
    stage.start()
    wait_for(lambda: stage.ended(jobs), 15)
    before = [stage.store.client.hgetall(keys.job(job)) for job in jobs]
    sleeper.process.send_signal(signal.SIGCONT)
    wait_for(lambda: sleeper.output.count('"job ended"') >= 2, 15)
    _held_once(stage)
    assert [stage.store.client.hgetall(keys.job(job)) for job in jobs] == before
    wait_for(lambda: stage.in_hand() == 0)


def test_a_worker_that_loses_its_consumer_is_replaced(stage: Stage) -> None:
    """A thread of Dramatiq's ends for good when it cannot give back what it has. The process notices, ends, and
    is started again; the job is carried out."""
    workers = stage.start("--processes", "2")
    wait_for(lambda: workers.output.count("worker started") == 2)
    (job,) = stage.send_holds(1)
    wait_for(lambda: stage.ended([job]))
    # A retry waits in the hands of the consumer of delayed messages …
    job = JobId.new(stage.event.id)
    stage.store.seats.accept_hold(SeatId(stage.event.id, 2), str(uuid4()), job)
    task = stage.store.jobs.task(job)
    stage.state.stop()
    assert stage.queue.send_jobs([(job, task)])
    broker = stage.queue.broker.servers.client
    wait_for(lambda: broker.keys(f"{{dramatiq:{QUEUE}}}:__acks__.*.{QUEUE}.DQ"), 20)
    # … and its queue becomes something that is no queue.
    broker.delete(f"{{dramatiq:{QUEUE}}}:{QUEUE}.DQ")
    broker.set(f"{{dramatiq:{QUEUE}}}:{QUEUE}.DQ", "not a list")
    wait_for(lambda: "a thread has ended" in workers.output, 20)
    broker.delete(f"{{dramatiq:{QUEUE}}}:{QUEUE}.DQ")
    stage.state.start()
    wait_for(lambda: '"died"' in workers.output, 20)
    assert '"status": 1' in workers.output or '"status":1' in workers.output
    wait_for(lambda: workers.output.count("worker started") >= 3, 20)
    assert stage.queue.send_jobs([(job, stage.store.jobs.task(job))])
    wait_for(lambda: stage.ended([job]), 20)


def test_a_worker_can_be_stopped_while_its_queue_is_gone(stage: Stage) -> None:
    """It cannot give anything back then, and does not wait for ever to do so."""
    worker = stage.start()
    stage.broker.stop()
    began = time.monotonic()
    assert worker.stop(timeout_s=20) == 0
    assert time.monotonic() - began < 15


def test_a_worker_killed_on_the_way_leaves_nobody_waiting(stage: Stage) -> None:
    """Three times, in the middle of a backlog: all jobs end, each seat is held once."""
    jobs = stage.send_holds(6)
    for _ in range(3):
        worker = stage.start()
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.stop()
    stage.start()
    wait_for(lambda: stage.ended(jobs), 15)
    _held_once(stage)


def test_groups_whose_worker_is_killed_are_seated_once(stage: Stage) -> None:
    """While it picks other seats for them, because theirs are gone: three times, and every group has its seats once."""
    event = stage.store.events.create("Opening night", 1_000)
    group = Group.model_validate({"eventId": event.id, "quantity": 4})
    jobs: list[JobId] = []
    for _ in range(120):
        job, user = JobId.new(event.id), str(uuid4())
        _, seats = stage.store.best.accept(group, user, job)
        rival, rivals = str(uuid4()), JobId.new(event.id)
        stage.store.seats.accept_hold(seats[1], rival, rivals)
        assert stage.store.seats.hold(seats[1], rival, rivals).code == Code.HELD
        jobs.append(job)
    assert stage.queue.send_jobs([(job, stage.store.jobs.task(job)) for job in jobs])
    for killed in range(3):
        worker = stage.start()
        seen = 15 * killed
        wait_for(lambda seen=seen: sum(stage.store.jobs.read(job).ended for job in jobs) > seen)  # type: ignore[misc]  # mypy takes it for another
        worker.stop(signal.SIGKILL)
    stage.start()
    wait_for(lambda: stage.ended(jobs), 20)
    results = [stage.store.jobs.read(job).result for job in jobs]
    held = [seat.id for result in results if result and result.success for seat in result.seats or ()]
    assert len(held) == len(set(held)) == 4 * len(jobs)
    assert sorted(
        int(change["seat"]) for change in changes(stage.store, event.id) if change["job"] in map(str, jobs)
    ) == (sorted(SeatId.parse(seat).number for seat in held))
