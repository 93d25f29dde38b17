"""What all processes have counted, added up in the state's server: each end of a job and of a hold once."""

from collections.abc import Callable, Iterator

import pytest

from actors.queue import Queue
from actors.sweeper import Sweeper
from reservation import keys
from reservation.codes import Code
from reservation.counts import FAILED_KEPT, Totals
from reservation.embedded import EmbeddedRedis
from reservation.errors import StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.metrics import JOB_BUCKETS
from reservation.models import Event
from reservation.seats import Verdict
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, wait_for, working
from tests.integration.conftest import lapse
from tests.servers import hanging

NOW = 1767225600000


def end(store: Store, code: Code = Code.HELD, waited_ms: int = 4, number: int = 0) -> None:
    """Counts a hold job that ended."""
    job = JobId("k3v9x2m7qa", f"{number:025}")
    store.counts.job_ended("HOLD_SEAT", job, Verdict(code, NOW + number, waited_ms))


def tell(store: Store, process: str = "a worker") -> Totals:
    """Beats once; returns what all have counted then."""
    store.fleet.beat(keys.WORKERS, process)
    return store.fleet.totals()


def held(totals: Totals) -> int:
    return totals.ended["HOLD_SEAT", "held"]


@pytest.fixture
def own(server: EmbeddedRedis) -> Iterator[Store]:
    """A process on a server of the test's own."""
    store = _on(server)
    yield store
    store.servers.close()


def _on(server: EmbeddedRedis) -> Store:
    settings = Settings(_env_file=None, redis_url=server.url())  # type: ignore[call-arg]  # pydantic-settings' own
    return Store.connect(settings, connections=2, timeout_s=0.1)


def test_what_processes_count_is_added_up(settings: Settings, store: Store) -> None:
    """By type, outcome and time; each tells only what it has counted since it last did."""
    another = Store.connect(settings, connections=2)
    for waited_ms in (1, 2, 3, 400, 999_999):
        end(store, waited_ms=waited_ms)
    end(another, Code.SEAT_HELD)
    another.counts.holds_expired(7)
    for _ in range(2):
        tell(store, "one")
        totals = tell(another, "two")
    assert {key: count for key, count in totals.ended.items() if count} == {
        ("HOLD_SEAT", "held"): 5,
        ("HOLD_SEAT", "seat-held"): 1,
    }
    bounds = [*JOB_BUCKETS, None]
    assert {bounds[n]: count for n, count in enumerate(totals.took["HOLD_SEAT"]) if count} == {
        0.002: 2,  # a bound is part of its bucket
        0.003: 1,
        0.005: 1,
        0.5: 1,
        None: 1,
    }
    assert not any(totals.took["RESERVE_SEAT"])
    assert totals.expired == 7
    end(store)
    assert held(tell(store, "one")) == 6
    another.servers.close()


def test_an_end_that_was_another_calls_is_not_counted(store: Store) -> None:
    """A job's message may come twice."""
    store.counts.job_ended("HOLD_SEAT", JobId("k3v9x2m7qa", "0" * 25), Verdict(Code.HELD, NOW, None))
    assert held(tell(store)) == 0


def test_who_has_counted_nothing_writes_nothing_more(store: Store) -> None:
    """An idle fleet costs what it did."""
    store.counts.holds_expired(0)
    tell(store)
    assert store.client.exists(keys.TALLY) == store.client.exists(keys.told("a worker")) == 0


def test_a_beat_whose_reply_is_lost_counts_once(server: EmbeddedRedis, own: Store) -> None:
    """The server carries it out after nobody waits for it any more. What was counted since comes with the next."""
    tell(own, "one")  # it has a connection, and the script
    end(own)
    end(own, Code.DEADLINE_PASSED, number=1)
    with hanging(server):
        for _ in range(2):
            with pytest.raises(StateUnavailable):
                own.fleet.beat(keys.WORKERS, "one")
            end(own)
    wait_for(lambda: held(own.fleet.totals()) == 1)
    assert held(tell(own, "one")) == 1, "the same again"
    totals = tell(own, "one")
    assert held(totals) == 3
    assert len(totals.failed) == totals.ended["HOLD_SEAT", "deadline-passed"] == 1


def test_a_beat_that_never_arrives_loses_nothing(server: EmbeddedRedis, own: Store) -> None:
    """And a server that restarts has the sums, and knows whose."""
    end(own)
    tell(own, "one")
    end(own)
    server.stop()
    with pytest.raises(StateUnavailable):
        own.fleet.beat(keys.WORKERS, "one")
    server.start()
    wait_for(lambda: _reached(own))
    assert held(own.fleet.totals()) == 2
    end(own)
    assert held(tell(own, "one")) == 3


def _reached(store: Store) -> bool:
    try:
        return bool(store.fleet.beat(keys.WORKERS, "one"))
    except StateUnavailable:
        return False


def test_the_last_failed_jobs_are_kept(store: Store) -> None:
    """The newest first, with when they failed; of one process that has many to tell, too."""
    for number in range(3):
        end(store, Code.INTERNAL_ERROR, number=number)
    end(store, number=3)
    totals = tell(store)
    assert [(job.job_id, job.type, job.error, job.time_ms) for job in totals.failed] == [
        (f"k3v9x2m7qa-{number:025}", "HOLD_SEAT", "internal-error", NOW + number) for number in (2, 1, 0)
    ]
    for number in range(2 * FAILED_KEPT):
        end(store, Code.DEADLINE_PASSED, number=number)
    totals = tell(store)
    assert [job.time_ms - NOW for job in totals.failed] == list(range(2 * FAILED_KEPT - 1, FAILED_KEPT - 1, -1))
    assert totals.ended["HOLD_SEAT", "deadline-passed"] == 2 * FAILED_KEPT


def test_a_worker_tells_all_it_has_done_before_it_goes(store: Store, queue: Queue, event: Event, user: str) -> None:
    """What it finished after it was told to stop included; then it is off the list. No user is in what it tells."""
    jobs = [JobId.new(event.id) for _ in range(5)]
    with working(store, queue, threads=1):
        for seat, job in enumerate(jobs, 1):
            store.seats.accept_hold(SeatId(event.id, seat), user, job)
        assert queue.send_jobs([(job, store.jobs.task(job)) for job in jobs])
        wait_for(lambda: all(store.jobs.read(job).ended for job in jobs))
    totals = store.fleet.totals()
    assert held(totals) == sum(totals.took["HOLD_SEAT"]) == 5
    assert store.fleet.load().workers == 0
    told = [f"{store.client.hgetall(keys.TALLY)}{store.client.lrange(keys.FAILED, 0, -1)}"]
    assert user[:8] not in str(told)


def test_expiries_and_failures_are_told(
    make_settings: Callable[..., Settings], brief: Store, queue: Queue, user: str
) -> None:
    """By whoever sees to them: the sweeper, and the actor that frees seats."""
    event = brief.events.create("Opening night", 10)
    Buyer(brief, user).hold(SeatId(event.id, 1))
    lapse(brief, SeatId(event.id, 1))
    queue.actors.release_expired(event.id)
    late = Store.connect(make_settings(hold_job_deadline=0.001), connections=4)
    job = JobId.new(event.id)
    late.seats.accept_hold(SeatId(event.id, 3), user, job)
    Sweeper(late, queue).sweep()
    late.fleet.beat(keys.SWEEPERS, "a sweeper")
    queue.broker.emit_after("worker_shutdown", None)
    totals = brief.fleet.totals()
    assert totals.expired == 1
    assert [(failed.job_id, failed.error) for failed in totals.failed] == [(str(job), "deadline-passed")]
    assert 0 <= brief.events.load(event.id).now - totals.failed[0].time_ms < 60_000
