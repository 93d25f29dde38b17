"""Queue, workers and sweeper, on a real broker: jobs are carried out, and none is lost."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from dramatiq import Actor
from dramatiq.broker import MessageProxy
from dramatiq.errors import ConnectionClosed
from dramatiq.results import ResultMissing
from freezegun import freeze_time

from actors.consumer import WakingConsumer
from actors.jobs import QUEUE
from actors.listener import Listener
from actors.queue import Queue
from actors.results import LedgerBackend
from actors.rounds import JOBS_ON_THEIR_WAY
from actors.sweeper import Sweeper
from reservation import keys
from reservation.codes import Code
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.models import Event
from reservation.rounds import RoundPipelining
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, changes, one_server, wait_for, working
from tests.integration.conftest import commands, lapse


def _accept(store: Store, queue: Queue, seat: SeatId, user: str, *, send: bool = True) -> JobId:
    job = JobId.new(seat.event)
    store.seats.accept_hold(seat, user, job, "request-1")
    if send:
        assert queue.send_jobs([(job, store.jobs.task(job))])
    return job


def test_a_worker_carries_jobs_out(store: Store, queue: Queue, event: Event, user: str) -> None:
    """Hold, then reserve; the result is in the ledger, and Dramatiq's result backend reads it there."""
    seat = SeatId(event.id, 1)
    with working(store, queue):
        job = _accept(store, queue, seat, user)
        wait_for(lambda: store.jobs.read(job).ended)
        reserve = JobId.new(event.id)
        store.seats.accept_reserve(seat, user, reserve)
        queue.send_jobs([(reserve, store.jobs.task(reserve))])
        wait_for(lambda: store.jobs.read(reserve).ended)
    assert store.seats.get(seat).status == "Reserved"
    message = queue.actors.reserve_seat.message(str(reserve))
    result: Any = message.get_result(backend=LedgerBackend(store))
    assert result.success
    with pytest.raises(ResultMissing):
        queue.actors.hold_seat.message(str(JobId.new(event.id))).get_result(backend=LedgerBackend(store))


def test_nothing_stays_in_the_queue(store: Store, queue: Queue, event: Event) -> None:
    """Every message is acknowledged; delayed and dead ones there are none."""
    with working(store, queue):
        jobs = [_accept(store, queue, SeatId(event.id, n), str(uuid4())) for n in range(1, 21)]
        wait_for(lambda: all(store.jobs.read(job).ended for job in jobs))
        queue.broker.join(QUEUE, timeout=5_000)
    left = list(queue.broker.servers.client.scan_iter("*dramatiq*"))
    assert [key for key in left if b".wake" not in key and b"__heartbeats__" not in key] == []


def test_an_idle_worker_is_woken_rather_than_polling(store: Store, queue: Queue, event: Event) -> None:
    """While nothing arrives, it asks a few times a second; Dramatiq's own would ask dozens of times."""
    with working(store, queue):
        time.sleep(0.3)
        before = commands(store)
        time.sleep(2)
        asked = (commands(store) - before)["evalsha"]
    assert asked <= 30  # four queues, two fetches a second each; a heartbeat a second


def test_a_message_wakes_a_waiting_consumer(
    store: Store, queue: Queue, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not have to find it at its next look, a minute from now."""
    monkeypatch.setattr("actors.consumer.BLOCK_S", 60)
    monkeypatch.setattr("actors.broker.BLOCK_S", 60)
    consumer = queue.broker.consume(queue_name=QUEUE)
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(next(consumer)), daemon=True)
    waiting.start()
    servers = queue.broker.servers.primaries()
    wait_for(lambda: any(server.info("clients")["blocked_clients"] for server in servers))
    _accept(store, queue, SeatId(event.id, 1), user)
    waiting.join(10)
    assert found
    assert found[0] is not None
    consumer.close()


def test_a_message_that_is_lost_is_sent_again(
    store: Store, queue: Queue, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger has the job; the sweeper sends it once a worker lives and it is time."""
    monkeypatch.setattr("actors.sweeper._RESEND_MS", 1)
    job = _accept(store, queue, SeatId(event.id, 1), user, send=False)
    sweeper = Sweeper(store, queue)
    sweeper.sweep()
    assert queue.depth() == 0, "no worker lives that could be woken"
    with working(store, queue):
        wait_for(lambda: store.fleet.load().workers)
        sweeper.sweep()
        wait_for(lambda: store.jobs.read(job).ended)
    assert store.seats.get(SeatId(event.id, 1)).user == user


def test_a_message_that_merely_waits_is_not_joined_by_another(
    store: Store, queue: Queue, event: Event, user: str
) -> None:
    """Passes that follow at once send nothing."""
    store.fleet.beat(keys.WORKERS, "a worker that is busy")
    _accept(store, queue, SeatId(event.id, 1), user)
    for _ in range(5):
        Sweeper(store, queue).sweep()
    assert queue.depth() == 1


def test_the_lag_is_how_long_messages_wait(store: Store, queue: Queue, event: Event) -> None:
    """A job whose message was lost and sent again does not make the queue look long."""
    job = _accept(store, queue, SeatId(event.id, 1), str(uuid4()), send=False)
    accepted = store.events.load(event.id).now
    wait_for(lambda: store.events.load(event.id).now > accepted + 500)
    with working(store, queue):
        queue.send_jobs([(job, store.jobs.task(job))])
        wait_for(lambda: store.client.exists(keys.QUEUE_LAGS[0]))
        assert store.fleet.load().lag_ms < 400
    _accept(store, queue, SeatId(event.id, 2), str(uuid4()))
    accepted = store.events.load(event.id).now
    wait_for(lambda: store.events.load(event.id).now > accepted + 500)
    with working(store, queue):
        wait_for(lambda: store.fleet.load().lag_ms >= 500)


def test_a_message_of_a_clock_that_is_ahead_did_not_wait(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is known, too: two clocks differ by more than a message waits where nothing else does."""
    ahead = queue.broker.now_ms() + 60_000
    with monkeypatch.context() as sender:
        sender.setattr(queue.broker, "now_ms", lambda: ahead)
        _accept(store, queue, SeatId(event.id, 1), str(uuid4()))
    with working(store, queue):
        wait_for(lambda: store.client.exists(keys.QUEUE_LAGS[0]))
    assert store.fleet.load().lag_ms == 0


def test_a_pass_sends_a_bounded_number_again(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as leave a short queue, fewer where a backlog waits; the rest has its turn in the next ones."""
    monkeypatch.setattr("actors.sweeper._RESEND_MS", 0)
    monkeypatch.setattr("actors.sweeper._RESENDS_UP_TO", 5)
    monkeypatch.setattr("actors.sweeper._RESENDS_AT_LEAST", 3)
    monkeypatch.setattr("actors.sweeper._FIRST_JOBS", 1)
    monkeypatch.setattr("actors.sweeper._JOBS_PER_PAGE", 2)
    store.fleet.beat(keys.WORKERS, "a worker")
    for number in range(1, 9):
        _accept(store, queue, SeatId(event.id, number), str(uuid4()), send=False)
    sweeper = Sweeper(store, queue)
    sweeper.sweep()
    assert queue.depth() == 5
    sweeper.sweep()
    assert queue.depth() == 8


def test_a_queue_that_is_down_does_not_hold_up_the_sweep(
    make_settings: Callable[..., Settings], store: Store, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, and what is due fails all the same, in one pass."""
    lost = Queue.connect(make_settings(broker_url="unix:///nonexistent/redis.sock"), store, connections=2)
    late = Store.connect(make_settings(hold_job_deadline=0.05), connections=2)
    store.fleet.beat(keys.WORKERS, "a worker")
    monkeypatch.setattr("actors.sweeper._FIRST_JOBS", 1)
    monkeypatch.setattr("actors.sweeper._JOBS_PER_PAGE", 3)
    jobs = [JobId.new(event.id) for _ in range(20)]
    for number, job in enumerate(jobs, 1):
        late.seats.accept_hold(SeatId(event.id, number), str(uuid4()), job)
    wait_for(lambda: all(late.jobs.read(job).ended for job in jobs))
    Sweeper(late, lost).sweep()
    assert store.events.load(event.id).open_jobs == 0


def test_a_pass_reads_the_oldest_jobs_and_goes_on_while_they_may_be_due(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands that wait their turn cost no more than a few; nor do old ones, while none can be sent again."""
    for _ in range(60):
        _accept(store, queue, SeatId(event.id, 1), str(uuid4()), send=False)
    accepted = store.events.load(event.id).now

    def read_by_a_pass() -> int:
        before = commands(store)
        Sweeper(store, queue).sweep()
        return (commands(store) - before)["hmget"]

    monkeypatch.setattr("actors.sweeper._RESEND_MS", 60_000)
    monkeypatch.setattr("actors.sweeper._RESEND_MAX_MS", 60_000)
    store.fleet.beat(keys.WORKERS, "a worker")
    assert read_by_a_pass() == 10, "they are young"
    wait_for(lambda: store.events.load(event.id).now > accepted)
    monkeypatch.setattr("actors.sweeper._RESEND_MS", 1)
    store.fleet.leave(keys.WORKERS, "a worker")
    assert read_by_a_pass() == 10, "no worker lives"
    store.fleet.beat(keys.WORKERS, "a worker")
    Sweeper(store, queue).sweep()
    assert queue.depth() == 60


def test_what_the_queue_cannot_take_is_not_read(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a pass has sent as many again as it may, it looks for passed deadlines only."""
    monkeypatch.setattr("actors.sweeper._RESEND_MS", 0)
    monkeypatch.setattr("actors.sweeper._RESENDS_UP_TO", 5)
    monkeypatch.setattr("actors.sweeper._RESENDS_AT_LEAST", 5)
    store.fleet.beat(keys.WORKERS, "a worker")
    for _ in range(60):
        _accept(store, queue, SeatId(event.id, 1), str(uuid4()), send=False)
    before = commands(store)
    Sweeper(store, queue).sweep()
    assert (commands(store) - before)["hmget"] == 10 + 5, "and the five that it claimed"
    assert queue.depth() == 5


def test_jobs_from_before_the_clock_was_put_back_hold_up_no_others(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They look as if they had been accepted in an hour; what was accepted after them is sent again."""
    monkeypatch.setattr("actors.sweeper._FIRST_JOBS", 1)
    monkeypatch.setattr("actors.sweeper._RESEND_MS", 1)
    store.fleet.beat(keys.WORKERS, "a worker")
    before, after = (_accept(store, queue, SeatId(event.id, 1), str(uuid4()), send=False) for _ in range(2))
    for name in ("createdAt", "sentAt", "deadline"):
        store.client.hincrby(keys.job(before), name, 3_600_000)
    accepted = store.events.load(event.id).now
    wait_for(lambda: store.events.load(event.id).now > accepted)
    Sweeper(store, queue).sweep()
    assert [job.attempts for job in store.jobs.open_jobs(event.id, 0, 10)] == [1, 2]
    assert store.client.hget(keys.job(after), "attempts") == "2"


def test_a_reserve_that_had_until_its_holds_end_keeps_no_seat(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, event: Event, user: str, rival: Buyer
) -> None:
    """It is failed only when jobs of its age may be due; its pin has ended at its deadline all the same."""
    brief = Store.connect(make_settings(lock_expiration_time=0.15), connections=2)
    seat, first, second = SeatId(event.id, 1), JobId.new(event.id), JobId.new(event.id)
    Buyer(brief, user).hold(seat)
    brief.seats.accept_reserve(seat, user, first)
    brief.seats.fail(seat, user, first, Code.INTERNAL_ERROR)
    for number in range(2, 12):  # younger than anything that is due, and before it
        brief.seats.accept_hold(SeatId(event.id, number), str(uuid4()), JobId.new(event.id))
    brief.seats.accept_reserve(seat, user, second)
    lapse(brief, seat)
    Sweeper(store, queue).sweep()
    assert store.client.hget(keys.job(second), "status") == "waiting", "nobody has written it down"
    assert store.jobs.read(second).status == "failed"
    assert queue.depth() == 1, "the message that frees the seat"
    assert store.seats.release_due(event.id) == 1
    assert rival.hold(seat).code == Code.HELD
    assert store.seats.fail(seat, user, second, Code.DEADLINE_PASSED).code == Code.DEADLINE_PASSED
    assert store.seats.get(seat).user == rival.user
    assert rival.reserve(seat).code == Code.RESERVED


def test_every_active_event_is_looked_at(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many go into one look, and though one of them is idle."""
    monkeypatch.setattr("actors.sweeper._EVENTS_PER_LOOK", 2)
    late = Store.connect(make_settings(hold_job_deadline=0.05), connections=2)
    events = [store.events.create("Opening night", 10) for _ in range(5)]
    store.events.touch(events[1].id)
    jobs = [JobId.new(event.id) for event in events if event != events[1]]
    for job in jobs:
        late.seats.accept_hold(SeatId(job.event, 1), user, job)
    wait_for(lambda: all(late.jobs.read(job).ended for job in jobs))
    Sweeper(store, queue).sweep()
    assert [store.client.hget(keys.job(job), "status") for job in jobs] == ["failed"] * 4


def test_a_job_that_nobody_carries_out_fails_at_its_deadline(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, event: Event, user: str
) -> None:
    """And is no longer open."""
    late = Store.connect(make_settings(hold_job_deadline=0.05), connections=2)
    job = JobId.new(event.id)
    late.seats.accept_hold(SeatId(event.id, 1), user, job)
    wait_for(lambda: late.jobs.read(job).ended)
    Sweeper(store, queue).sweep()
    assert store.client.hget(keys.job(job), "status") == "failed"
    assert store.events.load(event.id).open_jobs == 0


def test_a_script_that_breaks_fails_its_job(
    store: Store, queue: Queue, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job says `internal-error`, and its message is among the dead letters."""

    def broken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(type(store.seats), "hold", broken)
    job = _accept(store, queue, SeatId(event.id, 1), user)
    with working(store, queue):
        wait_for(lambda: store.jobs.read(job).ended)
    shown = store.jobs.read(job)
    assert shown.status == "failed"
    assert shown.result is not None
    assert shown.result.error == "internal-error"
    assert queue.broker.servers.client.zcard("{dramatiq:seat_operations}:seat_operations.XQ") == 1


def test_a_job_outlives_an_outage_of_its_state(make_settings: Callable[..., Settings], user: str) -> None:
    """Retried with backoff while the server is away, carried out when it is back."""
    with (
        tempfile.TemporaryDirectory(prefix="reservation-") as folder,
        EmbeddedRedis(Path(folder, "s")) as state,
        EmbeddedRedis(Path(folder, "q")) as broker,
    ):
        settings = make_settings(redis_url=state.url(), broker_url=broker.url(), retry_max_delay=0.5)
        store = Store.connect(settings, connections=8, pipelining=RoundPipelining)
        queue = Queue.connect(settings, store, connections=8)
        event = store.events.create("Opening night", 10)
        job = _accept(store, queue, SeatId(event.id, 1), user, send=False)
        task = store.jobs.task(job)
        state.stop()
        with working(store, queue):
            assert queue.send_jobs([(job, task)])
            wait_for(lambda: queue.broker.servers.client.hlen("{dramatiq:seat_operations}:seat_operations.DQ.msgs"), 20)
            state.start()
            wait_for(lambda: store.jobs.read(job).ended, 20)
        assert store.seats.get(SeatId(event.id, 1)).user == user


def test_a_queue_that_cannot_be_reached_only_delays(
    make_settings: Callable[..., Settings], store: Store, event: Event, user: str
) -> None:
    """Sending says so; nothing is raised."""
    lost = Queue.connect(make_settings(broker_url="unix:///nonexistent/redis.sock"), store, connections=2)
    job = JobId.new(event.id)
    store.seats.accept_hold(SeatId(event.id, 1), user, job)
    assert not lost.send_jobs([(job, store.jobs.task(job))])
    assert not lost.reachable()


@contextmanager
def listening(store: Store, queue: Queue) -> Iterator[None]:
    """A listener that has subscribed to every server."""
    stopping = threading.Event()
    listener = Listener(store, queue, stopping)
    listener.start()
    try:
        wait_for(lambda: all(server.pubsub_numpat() for server in store.servers.primaries()))
        yield
    finally:
        stopping.set()
        listener.join()


def test_an_expiry_is_heard_and_the_seat_freed(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, event: Event, user: str
) -> None:
    """With no sweeper: the notification alone."""
    brief = Store.connect(make_settings(lock_expiration_time=0.1), connections=2)
    with listening(store, queue), working(store, queue):
        Buyer(brief, user).hold(SeatId(event.id, 1))
        wait_for(lambda: store.client.hget(keys.seat(SeatId(event.id, 1)), "status") == "Available")
    assert changes(store, event.id)[-1]["cause"] == "expired"


def test_holds_that_expire_together_are_claimed_once_an_event(
    store: Store, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once a seat."""
    monkeypatch.setattr("actors.listener._GATHER_S", 0.5)
    events = [store.events.create("Opening night", 20) for _ in range(2)]
    locks = [keys.lock(SeatId(event.id, number)) for event in events for number in range(1, 21)]
    with listening(store, queue):
        before = commands(store)
        for lock in locks:
            store.client.set(lock, "somebody", px=1)
        wait_for(lambda: queue.depth() == 2)
        assert (commands(store) - before)["set"] == len(locks) + len(events)
    assert all(store.client.exists(keys.releasing(event.id)) for event in events)


def test_a_hold_that_ends_while_others_are_freed_is_freed_too(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, event: Event, user: str
) -> None:
    """Its notification comes while the event's message is on its way, and is not forgotten; no sweeper runs."""
    brief = Store.connect(make_settings(lock_expiration_time=0.05), connections=2)
    early, late = (SeatId(event.id, number) for number in (1, 2))
    with listening(store, queue):
        Buyer(brief, user).hold(early)
        wait_for(lambda: queue.depth() == 1)
        brief.seats.release_due(event.id)
        Buyer(brief, user).hold(late)
        wait_for(lambda: not store.client.exists(keys.lock(late)))
        time.sleep(0.1)
        assert queue.depth() == 1, "one message an event"
        # As a worker does that had looked for due seats before the second hold ended.
        store.client.delete(keys.releasing(event.id))
        wait_for(lambda: queue.depth() == 2)


def test_where_holds_end_all_the_time_messages_are_few(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the state's server three syncs of its disk, however few seats it frees."""
    monkeypatch.setattr("actors.listener._PAUSE_S", 0.5)
    with listening(store, queue):
        until = time.monotonic() + 1.2
        number = 0
        while time.monotonic() < until:
            number += 1
            store.client.set(keys.lock(SeatId(event.id, number)), "somebody", px=1)
            store.client.delete(keys.releasing(event.id))  # as if a worker were done at once
            time.sleep(0.005)
    assert 2 <= queue.depth() <= 4
    assert number > 20


def test_a_queue_that_is_down_does_not_hold_up_the_listening(
    make_settings: Callable[..., Settings], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be sent is left to the sweeper, and it listens on."""
    monkeypatch.setattr("actors.listener._GATHER_S", 0.5)
    lost = Queue.connect(make_settings(broker_url="unix:///nonexistent/redis.sock"), store, connections=2)
    together, later = ([store.events.create("Opening night", 10).id for _ in range(n)] for n in (5, 1))
    tries: list[int] = []
    send = Queue.send_releases

    def count(self: Queue, event_ids: list[str]) -> bool:
        tries.append(len(event_ids))
        return send(self, event_ids)

    monkeypatch.setattr(Queue, "send_releases", count)

    def claimed(event_ids: list[str]) -> bool:
        return all(store.client.exists(keys.releasing(event_id)) for event_id in event_ids)

    with listening(store, lost):
        for event_ids in (together, later):
            for event_id in event_ids:
                store.client.set(keys.lock(SeatId(event_id, 1)), "somebody", px=1)
            wait_for(partial(claimed, event_ids))
    assert tries == [5, 1]


def test_a_foreign_key_does_not_end_the_listening(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, event: Event, user: str
) -> None:
    """Its name matches, and is no text."""
    brief = Store.connect(make_settings(lock_expiration_time=0.1), connections=2)
    with listening(store, queue):
        store.client.set(b"seat:\xff:lock", 1, px=1)
        servers = store.servers.primaries()
        wait_for(lambda: not all(server.pubsub_numpat() for server in servers))
        wait_for(lambda: all(server.pubsub_numpat() for server in servers))
        Buyer(brief, user).hold(SeatId(event.id, 1))
        wait_for(lambda: queue.depth() == 1)
    assert queue.depth() == 1


def test_a_missed_expiry_is_swept(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, event: Event, user: str
) -> None:
    """With no listener: the sweeper alone. Its message is sent once, however many passes follow."""
    brief = Store.connect(make_settings(lock_expiration_time=0.05), connections=2)
    Buyer(brief, user).hold(SeatId(event.id, 1))
    wait_for(lambda: store.events.load(event.id).due)
    for _ in range(3):
        Sweeper(store, queue).sweep()
    assert queue.depth() == 1
    with working(store, queue):
        wait_for(lambda: store.client.hget(keys.seat(SeatId(event.id, 1)), "status") == "Available")
        # The next expiry gets a message of its own. The claim is given back after the seats are, and sooner than it
        # would lapse.
        wait_for(lambda: not store.client.exists(keys.releasing(event.id)), 2)


def test_idle_events_are_dropped_from_the_index_and_found_again(
    store: Store, queue: Queue, event: Event, buyer: Buyer
) -> None:
    """Not within a minute of an accept; and what the index missed is found by the walk over all events."""
    buyer.hold(SeatId(event.id, 1))
    store.seats.release(SeatId(event.id, 1), buyer.user)
    sweeper = Sweeper(store, queue)
    sweeper.sweep()
    assert store.events.active() == [event.id]
    store.client.zincrby(keys.ACTIVE, -61_000, event.id)
    sweeper.sweep()
    assert store.events.active() == []
    buyer.hold(SeatId(event.id, 1))
    store.client.delete(keys.ACTIVE)
    sweeper.sweep()
    assert store.events.active() == [event.id]


def test_the_queues_clock_is_the_servers(queue: Queue) -> None:
    """A host whose clock is years behind does not look dead to the others."""
    seconds, _ = queue.broker.servers.client.time()
    with freeze_time("2001-01-01"):
        assert abs(queue.broker.now_ms() - seconds * 1000) < 5_000
        queue.broker.do_fetch(QUEUE, 1)
    beats: Any = queue.broker.servers.client.zrange("{dramatiq:seat_operations}:__heartbeats__", 0, -1, withscores=True)
    assert all(abs(at - seconds * 1000) < 5_000 for _, at in beats)


def test_a_consumer_gives_back_what_it_did_not_start(store: Store, queue: Queue, event: Event) -> None:
    """So that a worker which stops delays nothing; Dramatiq's own keeps it until its heartbeat lapses."""
    for number in range(1, 5):
        _accept(store, queue, SeatId(event.id, number), str(uuid4()))
    consumer = queue.broker.consume(queue_name=QUEUE)
    assert next(consumer) is not None
    assert queue.depth() == 0
    consumer.close()
    assert queue.depth() == 3


#: Most messages that a worker of one thread has in hand.
_PREFETCH = 2 * JOBS_ON_THEIR_WAY


@pytest.fixture
def narrow(settings: Settings, store: Store, event: Event) -> Queue:
    """The queue as a worker of one thread sees it, with two messages more than that may have."""
    queue = Queue.connect(settings.model_copy(update={"worker_threads": 1}), store, connections=4)
    for _ in range(_PREFETCH + 2):
        _accept(store, queue, SeatId(event.id, 1), str(uuid4()))
    return queue


def _taken(consumer: WakingConsumer, count: int) -> list[MessageProxy]:
    """So many messages, each of which is there."""
    taken = [next(consumer) for _ in range(count)]
    return [message for message in taken if message is not None]


def _unacknowledged(queue: Queue) -> int:
    """Messages that a worker has taken, and not said that it is done with."""
    return sum(
        queue.broker.servers.client.scard(key)
        for key in queue.broker.servers.client.scan_iter("{dramatiq:seat_operations}:__acks__.*")
    )


def test_a_full_consumer_waits_for_an_acknowledgement(narrow: Queue) -> None:
    """It has no more in hand than it may, and goes on when it may have one more."""
    consumer = narrow.broker.consume(queue_name=QUEUE)
    taken = _taken(consumer, _PREFETCH)
    assert len(taken) == _PREFETCH
    assert next(consumer) is None
    assert narrow.depth() == 2
    consumer.ack(taken[0])
    assert next(consumer) is not None
    assert narrow.depth() == 1
    consumer.close()


def test_acknowledgements_that_make_half_the_room_free_wake_a_full_consumer(
    narrow: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on at once, not at its next look, a minute from now; and not before there is room for many."""
    monkeypatch.setattr("actors.consumer.BLOCK_S", 60)
    consumer = narrow.broker.consume(queue_name=QUEUE)
    taken = _taken(consumer, _PREFETCH)
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(next(consumer)), daemon=True)
    waiting.start()
    for message in taken[: JOBS_ON_THEIR_WAY - 1]:
        consumer.ack(message)
    waiting.join(0.2)
    assert not found
    consumer.ack(taken[JOBS_ON_THEIR_WAY - 1])
    waiting.join(10)
    assert found
    assert found[0] is not None
    assert narrow.depth() == 0, "both of those that waited were fetched"
    consumer.close()


def _tokens(queue: Queue) -> int:
    """Workers that what is in the wake list would wake."""
    return int(queue.broker.servers.client.llen(queue.broker.wake_key(QUEUE)))


def test_many_messages_that_one_worker_takes_wake_one(queue: Queue, store: Store, event: Event) -> None:
    """Others would find nothing, again and again: it cost a fifth of the processor time of all."""
    tasks = [
        (JobId.new(event.id), Task("HOLD_SEAT", (SeatId(event.id, number),), str(uuid4()), ""))
        for number in range(1, 11)
    ]
    queue.send_jobs(tasks[:5])
    assert _tokens(queue) == 1
    queue.send_jobs(tasks[5:])
    consumer = queue.broker.consume(queue_name=QUEUE)
    assert len(_taken(consumer, 10)) == 10
    assert _tokens(queue) == 0, "it has seen all that they spoke of"
    consumer.close()


def test_a_worker_that_has_its_hands_full_wakes_another(narrow: Queue) -> None:
    """There is more than it can take, of which nobody else has heard."""
    consumer = narrow.broker.consume(queue_name=QUEUE)
    assert len(_taken(consumer, 1)) == 1
    assert _tokens(narrow) == 1
    consumer.close()


def test_a_consumer_that_is_closed_leaves_the_others_to_be_woken(queue: Queue, store: Store, event: Event) -> None:
    """What was sent since its last fetch is not its own to know of."""
    consumer = queue.broker.consume(queue_name=QUEUE)
    _accept(store, queue, SeatId(event.id, 1), str(uuid4()))
    consumer.close()
    assert (queue.depth(), _tokens(queue)) == (1, 1)


def test_acknowledgements_are_sent_with_the_next_fetch(queue: Queue, store: Store, event: Event) -> None:
    """And when the consumer is closed."""
    consumer = queue.broker.consume(queue_name=QUEUE)
    for number in (1, 2):
        _accept(store, queue, SeatId(event.id, number), str(uuid4()))
        (message,) = _taken(consumer, 1)
        consumer.ack(message)
        assert _unacknowledged(queue) == 1, "the one before was sent with this one's fetch"
    consumer.close()
    assert _unacknowledged(queue) == 0
    assert queue.broker.servers.client.hlen("{dramatiq:seat_operations}:seat_operations.msgs") == 0


def test_acknowledgements_that_were_not_sent_are_sent_by_the_next_consumer(
    queue: Queue, store: Store, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dramatiq makes another once a fetch has raised ConnectionClosed, which redis.TimeoutError has to become."""
    for number in (1, 2):
        _accept(store, queue, SeatId(event.id, number), str(uuid4()))
    consumer = queue.broker.consume(queue_name=QUEUE)
    for message in _taken(consumer, 2):
        consumer.ack(message)

    def too_late(*_: object) -> None:
        raise redis.TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(queue.broker, "_run", too_late)
        with pytest.raises(ConnectionClosed):
            next(consumer)
        with pytest.raises(ConnectionClosed):
            consumer.close()
    assert _unacknowledged(queue) == 2
    queue.broker.consume(queue_name=QUEUE).close()
    assert _unacknowledged(queue) == 0


@pytest.mark.parametrize("wrong", ["seat_id", "user"])
def test_a_message_that_says_otherwise_than_the_ledger_does_nothing(
    store: Store, queue: Queue, event: Event, user: str, other: str, wrong: str
) -> None:
    """Neither to the seat it names nor to the job's, whose own message is still good."""
    seat, elsewhere = SeatId(event.id, 1), SeatId(event.id, 2)
    told = {"seat_id": str(seat), "user": user} | ({"user": other} if wrong == "user" else {"seat_id": str(elsewhere)})

    def run(actor: Actor[..., str | None], job: JobId) -> str | None:
        return actor(str(job), **told)

    hold = _accept(store, queue, seat, user, send=False)
    assert run(queue.actors.hold_seat, hold) is None
    assert [store.seats.get(each).status for each in (seat, elsewhere)] == ["Available"] * 2
    assert store.jobs.read(hold).status == "waiting"
    assert queue.actors.hold_seat(str(hold), seat_id=str(seat), user=user) == "held"
    Buyer(store, other).hold(elsewhere)
    reserve = JobId.new(event.id)
    store.seats.accept_reserve(seat, user, reserve)
    assert run(queue.actors.reserve_seat, reserve) is None
    assert [store.seats.get(each).status for each in (seat, elsewhere)] == ["On hold"] * 2
    assert store.jobs.read(reserve).status == "waiting"
    assert queue.actors.reserve_seat(str(reserve), seat_id=str(seat), user=user) == "reserved"


def test_scripts_that_the_server_has_forgotten_are_sent_again(
    store: Store, queue: Queue, event: Event, user: str
) -> None:
    """In the middle of whatever: one call, several in one go, and the broker's own."""
    seat = SeatId(event.id, 1)
    assert store.seats.get(seat).status == "Available"
    store.client.script_flush()
    assert store.seats.get(seat).status == "Available"
    calls = [([keys.event(event.id), keys.seat(SeatId(event.id, number))], ()) for number in (1, 2)]
    store.client.script_flush()
    assert [reply[0] for reply in store.scripts.run_each("read_seat", calls)] == [Code.OK] * 2
    consumer = queue.broker.consume(queue_name=QUEUE)
    for _ in range(2):
        _accept(store, queue, seat, user)
        store.client.script_flush()
        assert len(_taken(consumer, 1)) == 1
    consumer.close()


def test_jobs_that_come_while_one_is_on_its_way_are_begun(
    store: Store, queue: Queue, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same thread: one that goes on asking keeps none waiting, and one that fails ends no other."""
    real = type(store.seats).hold
    first, second, third = (SeatId(event.id, number) for number in (1, 2, 3))

    def hold(seats: Any, named: Any, *rest: Any) -> Any:
        (seat,) = named
        until = time.monotonic() + 10
        while seat == first and seats.get(second).status == "Available":
            assert time.monotonic() < until, "the second job was not begun"
        verdict = real(seats, named, *rest)
        if seat == second:
            raise RuntimeError("a mistake of ours")
        return verdict

    monkeypatch.setattr(type(store.seats), "hold", hold)
    with working(store, queue, threads=1):
        asking = _accept(store, queue, first, user)
        wait_for(lambda: store.jobs.read(asking).status == "active")
        _accept(store, queue, second, user)
        wait_for(lambda: store.jobs.read(asking).ended)
        last = _accept(store, queue, third, user)
        wait_for(lambda: store.jobs.read(last).ended)
    assert [store.seats.get(seat).user for seat in (first, third)] == [user] * 2


def test_a_job_that_takes_long_is_shown_as_active(
    store: Store, queue: Queue, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the heartbeat, at no cost to those that do not."""
    let_go = threading.Event()
    real = type(store.seats).hold

    def slow(*arguments: Any) -> Any:
        let_go.wait(20)
        return real(*arguments)

    monkeypatch.setattr(type(store.seats), "hold", slow)
    job = _accept(store, queue, SeatId(event.id, 1), user)
    with working(store, queue):
        wait_for(lambda: store.jobs.read(job).status == "active")
        let_go.set()
        wait_for(lambda: store.jobs.read(job).status == "completed")


@one_server
def test_a_pass_costs_the_same_however_many_events_are_over(store: Store, queue: Queue) -> None:
    """Finished events are only walked through, a hundred a pass."""

    def cost_of_a_pass() -> int:
        before = commands(store)
        sweeper.sweep()
        return (commands(store) - before).total()

    sweeper = Sweeper(store, queue)
    costs = []
    for _ in range(2):
        for _ in range(150):
            store.events.create("Last year's", 10)
        sweeper.sweep()  # the first one also sends the scripts
        sweeper._walked = 0
        costs.append(cost_of_a_pass())
    assert 0 < costs[0] == costs[1]
