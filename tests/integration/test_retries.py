"""Repeating failed jobs: once each, and by the rules that hold for any other."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from actors.queue import Queue
from reservation import keys
from reservation.codes import Code
from reservation.errors import LimitReached, NotFailed, NotFound, NotOnHold, QueueFull, SeatHeld
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.retries import retry
from reservation.seats import Turn
from reservation.settings import Settings
from reservation.store import Store
from reservation_cli.jobs import Wanted, find, repeat
from tests.conftest import Buyer


@pytest.fixture
def failed(store: Store, event: Event, user: str) -> JobId:
    """A hold of seat 1 that could not be carried out."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job, "a request")
    store.seats.fail(seat, user, job, Code.INTERNAL_ERROR)
    return job


def test_a_failed_job_becomes_a_new_one(store: Store, failed: JobId, user: str) -> None:
    """For the same seat, user and request; it says which one it repeats, and that one stays as it is."""
    before = store.jobs.entry(failed)
    repeated = retry(store, failed)
    assert repeated.new
    job = store.jobs.read(repeated.job_id)
    assert (job.type, job.status, job.retry_of) == ("HOLD_SEAT", "waiting", str(failed))
    assert store.jobs.task(repeated.job_id) == repeated.task == store.jobs.task(failed)
    assert store.jobs.entry(failed) == before
    verdict = store.seats.hold(repeated.task.seats, user, repeated.job_id)
    assert verdict.code == Code.HELD


def test_a_vip_job_is_repeated_as_one(store: Store, event: Event, user: str) -> None:
    """Before those of others, in the ledger and in the queue."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job, turn=Turn(vip=True))
    store.seats.fail(seat, user, job, Code.INTERNAL_ERROR)
    store.seats.accept_hold(SeatId(event.id, 2), str(uuid4()), JobId.new(event.id))
    repeated = retry(store, job)
    assert repeated.task.vip
    found = store.jobs.read(repeated.job_id)
    assert (found.priority, found.position) == ("vip", 0)


def test_it_is_repeated_once(store: Store, failed: JobId, event: Event) -> None:
    """However many ask, and when: one new job, of which all are told."""
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: retry(store, failed), range(32)))
    assert len({t.job_id for t in told}) == 1
    assert sum(t.new for t in told) == 1
    assert store.client.zcard(keys.jobs(event.id)) == 1
    # For longer than the failed one is there to be repeated.
    assert store.client.pttl(keys.retried(failed)) > store.client.pttl(keys.job(failed)) > 0
    (new,) = {t.job_id for t in told}
    task = told[0].task
    store.seats.fail(task.seats, task.user, new, Code.INTERNAL_ERROR)
    assert retry(store, failed).job_id == new, "what is to be repeated now is the new one"
    assert retry(store, new).new


def test_what_has_not_failed_is_refused(store: Store, event: Event, user: str) -> None:
    """While it is open, and with a verdict, also one against it."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    with pytest.raises(NotFailed, match="This job is waiting"):
        retry(store, job)
    store.seats.hold(seat, user, job)
    with pytest.raises(NotFailed, match="This job is completed"):
        retry(store, job)
    with pytest.raises(NotFound):
        retry(store, JobId.new(event.id))
    assert store.client.zcard(keys.jobs(event.id)) == 0


def test_a_job_that_is_late_is_failed_first(store: Store, event: Event, user: str) -> None:
    """It reads as failed; that nobody has written it down yet leaves no second open job."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    store.client.hset(keys.job(job), "deadline", 1)
    repeated = retry(store, job)
    assert store.jobs.entry(job)["status"] == "failed"
    assert store.client.zrange(keys.jobs(event.id), 0, -1) == [str(repeated.job_id)]


def test_a_reservation_is_repeated_while_its_hold_lasts(store: Store, event: Event, buyer: Buyer) -> None:
    """And pins it again."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, job)
    store.seats.fail(seat, buyer.user, job, Code.INTERNAL_ERROR)
    assert store.seats.get(seat).reserving_until is None
    repeated = retry(store, job)
    assert store.seats.get(seat).reserving_until is not None
    assert store.jobs.read(repeated.job_id).retry_of == str(job)
    assert store.seats.reserve(seat, buyer.user, repeated.job_id).code == Code.RESERVED


def test_a_reservation_that_another_has_made_since_is_repeated(store: Store, event: Event, buyer: Buyer) -> None:
    """It finds the seat reserved for its user, as a client's second would, and still names the job that failed."""
    seat, job, other = SeatId(event.id, 1), JobId.new(event.id), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, job)
    store.seats.fail(seat, buyer.user, job, Code.INTERNAL_ERROR)
    store.seats.accept_reserve(seat, buyer.user, other)
    store.seats.reserve(seat, buyer.user, other)
    repeated = retry(store, job)
    assert store.jobs.read(repeated.job_id).retry_of == str(job)
    assert store.seats.reserve(seat, buyer.user, repeated.job_id).code == Code.RESERVED_ALREADY


def test_a_reservation_whose_hold_has_ended_is_refused(store: Store, event: Event, buyer: Buyer) -> None:
    """As a client's would be; and can be tried again, because nothing was decided."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, job)
    store.seats.fail(seat, buyer.user, job, Code.INTERNAL_ERROR)
    store.seats.release(seat, buyer.user)
    with pytest.raises(NotOnHold):
        retry(store, job)
    buyer.hold(seat)
    assert retry(store, job).new


def test_limits_and_others_holds_count(store: Store, event: Event, failed: JobId, buyer: Buyer, rival: Buyer) -> None:
    """No way around either."""
    rival.hold(SeatId(event.id, 1))
    with pytest.raises(SeatHeld):
        retry(store, failed)
    store.seats.release(SeatId(event.id, 1), rival.user)
    for number in range(2, 8):
        buyer.hold(SeatId(event.id, number))
    with pytest.raises(LimitReached):
        retry(store, failed)
    assert store.client.zcard(keys.jobs(event.id)) == 0


def test_a_repeated_job_is_sent(store: Store, queue: Queue, failed: JobId) -> None:
    """Once, and not where the queue is full."""
    repeat(store, queue, failed)
    repeat(store, queue, failed)
    assert queue.depth() == 1


def test_a_full_queue_takes_no_repeated_hold(store: Store, settings: Settings, failed: JobId, event: Event) -> None:
    """As with a client's."""
    queue = Queue.connect(settings.model_copy(update={"max_queued_messages": 1}), store, connections=2)
    queue.send_releases([event.id])
    with pytest.raises(QueueFull):
        repeat(store, queue, failed)
    assert store.client.zcard(keys.jobs(event.id)) == 0


def test_jobs_are_found_by_what_they_are(store: Store, event: Event, failed: JobId, buyer: Buyer) -> None:
    """Open ones and those that have ended, the newest or the oldest first, so many and no more."""
    other = store.events.create("Gala", 10)
    done, open_ = buyer.hold(SeatId(event.id, 2)), JobId.new(other.id)
    assert done.code == Code.HELD
    store.seats.accept_hold(SeatId(other.id, 1), buyer.user, open_)
    for age, job in enumerate([open_, *(j for j in _all(store) if j not in (open_, failed)), failed]):
        store.client.hincrby(keys.job(job), "createdAt", -1_000 * age)

    def ids(wanted: Wanted = Wanted(), limit: int = 10, *, oldest: bool = False) -> list[str]:  # noqa: B008 - frozen
        return [job.id for job in find(store, wanted, limit, oldest=oldest)]

    newest = ids()
    assert (len(newest), newest[0], newest[-1]) == (3, str(open_), str(failed))
    assert ids(oldest=True) == newest[::-1]
    assert ids(limit=2) == newest[:2]
    assert ids(Wanted(event=other.id)) == ids(Wanted(status="waiting")) == [str(open_)]
    assert ids(Wanted(status="failed")) == [str(failed)]
    assert ids(Wanted(status="completed")) == [newest[1]]
    assert ids(Wanted(type="RESERVE_SEAT")) == ids(Wanted(status="active")) == []
    store.jobs.mark_active(open_)
    assert ids(Wanted(status="active"), limit=1) == [str(open_)]


def _all(store: Store) -> set[JobId]:
    """Of which the server may name one twice, while its table of keys grows."""
    return {job for page in store.jobs.scan(None, 10_000) for job in page}


def test_one_that_is_active_is_found_behind_those_that_wait(store: Store, event: Event) -> None:
    """The filter is applied before the limit."""
    jobs = [JobId.new(event.id) for _ in range(3)]
    for number, job in enumerate(jobs, 1):
        store.seats.accept_hold(SeatId(event.id, number), str(uuid4()), job)
    store.jobs.mark_active(jobs[0])
    assert [job.id for job in find(store, Wanted(status="active"), 1, oldest=False)] == [str(jobs[0])]


def test_looking_for_jobs_ends(store: Store, event: Event, failed: JobId) -> None:
    """After so many keys, whatever else is in the server; what is no job of ours is passed over."""
    store.client.set(f"job:{{{event.id}}}-not-one", 1)
    with store.client.pipeline() as pipe:
        for number in range(5_000):
            pipe.set(f"filler:{number}", 1)
        pipe.execute()
    assert len(list(store.jobs.scan(None, 2_000))) == 2
    assert _all(store) == {failed}
