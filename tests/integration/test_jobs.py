"""The job ledger: every accepted job ends, once, and can be read."""

from collections.abc import Callable
from uuid import uuid4

import pytest
import redis

from reservation import keys
from reservation.codes import Code
from reservation.errors import NotFound, StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, changes, wait_for


def test_a_job_is_readable_from_its_acceptance_on(store: Store, event: Event, user: str) -> None:
    """Waiting, with its place and its deadline."""
    job = JobId.new(event.id)
    store.seats.accept_hold(SeatId(event.id, 1), user, job)
    shown = store.jobs.read(job)
    assert (shown.status, shown.type, shown.position, shown.result) == ("waiting", "HOLD_SEAT", 0, None)
    assert shown.deadline - shown.created_at == 30_000
    assert (shown.data.seat_id, shown.data.user) == (f"{event.id}-1", user)


def test_a_verdict_ends_the_job(store: Store, event: Event, user: str) -> None:
    """With the seat as it is now, and no longer than it is kept."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    store.seats.hold(seat, user, job)
    shown = store.jobs.read(job)
    assert shown.status == "completed"
    assert shown.completed_at is not None
    assert shown.result is not None
    assert shown.result.seat == store.seats.get(seat).model_copy(update={"server_time": shown.result.seat.server_time})  # type: ignore[union-attr]  # asserted above
    assert 299_000 < store.client.pttl(keys.job(job)) <= 300_000
    assert store.client.zcard(keys.jobs(event.id)) == 0


def test_a_job_run_again_keeps_its_verdict(store: Store, event: Event, user: str) -> None:
    """Even when the seat has moved on."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    store.seats.hold(seat, user, job)
    store.seats.release(seat, user)
    before = store.client.hgetall(keys.job(job))
    again = store.seats.hold(seat, user, job)
    assert (again.code, again.waited_ms) == (Code.HELD, None)
    assert store.client.hgetall(keys.job(job)) == before
    assert store.seats.get(seat).status == "Available"


def test_a_reserve_run_again_keeps_its_verdict(store: Store, event: Event, buyer: Buyer) -> None:
    """Once sold, it says so as often as it is asked."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, job)
    codes = [store.seats.reserve(seat, buyer.user, job).code for _ in range(3)]
    assert codes == [Code.RESERVED] * 3
    assert len(changes(store, event.id)) == 2


def test_accepting_again_is_the_same_acceptance(store: Store, event: Event, user: str) -> None:
    """A reply that was lost makes redis-py send it again."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    first = store.seats.accept_hold(seat, user, job)
    assert store.seats.accept_hold(seat, user, job) == first
    assert store.client.zcard(keys.jobs(event.id)) == 1
    assert store.client.hget(keys.event(event.id), "tickets") == "1"


def test_accepting_a_reserve_again_does_not_open_it_again(store: Store, event: Event, buyer: Buyer) -> None:
    """Not even when it has been carried out meanwhile."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, job)
    store.seats.reserve(seat, buyer.user, job)
    assert store.seats.accept_reserve(seat, buyer.user, job).job_id == str(job)
    assert store.jobs.read(job).status == "completed"
    assert store.client.zcard(keys.jobs(event.id)) == 0


def test_without_a_ledger_entry_nothing_happens(store: Store, event: Event, user: str) -> None:
    """A message nobody accepted, or whose result is gone."""
    seat = SeatId(event.id, 1)
    assert store.seats.hold(seat, user, JobId.new(event.id)).code == Code.JOB_UNKNOWN
    assert store.seats.reserve(seat, user, JobId.new(event.id)).code == Code.JOB_UNKNOWN
    assert store.seats.get(seat).status == "Available"
    with pytest.raises(NotFound):
        store.jobs.read(JobId.new(event.id))


def test_past_its_deadline_a_hold_takes_no_effect(
    make_settings: Callable[..., Settings], store: Store, event: Event, user: str
) -> None:
    """It reads as failed at once, and whoever runs it then only writes that down."""
    late = Store.connect(make_settings(hold_job_deadline=0.05), connections=2)
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    late.seats.accept_hold(seat, user, job)
    wait_for(lambda: late.jobs.read(job).ended)
    shown = late.jobs.read(job)
    assert shown.status == "failed"
    assert shown.result is not None
    assert shown.result.error == "deadline-passed"
    assert store.client.hget(keys.job(job), "status") == "waiting", "nobody has written it down"
    assert late.seats.hold(seat, user, job).code == Code.DEADLINE_PASSED
    assert late.seats.get(seat).status == "Available"
    assert store.client.hget(keys.job(job), "status") == "failed"


def test_a_deadline_is_the_servers_to_decide(store: Store, event: Event, user: str) -> None:
    """A sweeper whose clock is ahead cannot fail a job early."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    assert store.seats.fail(seat, user, job, Code.DEADLINE_PASSED).code == Code.NOT_DUE
    assert store.jobs.read(job).status == "waiting"
    assert store.seats.fail(seat, user, job, Code.INTERNAL_ERROR).code == Code.INTERNAL_ERROR
    assert store.seats.hold(seat, user, job).code == Code.INTERNAL_ERROR
    assert store.seats.get(seat).status == "Available"


def test_a_job_that_has_ended_cannot_be_failed(store: Store, event: Event, user: str) -> None:
    """A sweeper that looked just before the verdict comes too late."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    store.seats.hold(seat, user, job)
    before = store.client.hgetall(keys.job(job))
    assert store.seats.fail(seat, user, job, Code.INTERNAL_ERROR).code == Code.HELD
    assert store.client.hgetall(keys.job(job)) == before


def test_ended_jobs_are_forgotten(make_settings: Callable[..., Settings], event: Event, user: str) -> None:
    """Results are kept for JOB_RESULT_TTL."""
    brief = Store.connect(make_settings(job_result_ttl=0.05), connections=2)
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    brief.seats.accept_hold(seat, user, job)
    brief.seats.hold(seat, user, job)
    wait_for(lambda: not brief.client.exists(keys.job(job)))
    with pytest.raises(NotFound):
        brief.jobs.read(job)


def test_one_of_several_sweepers_sends_a_job_again(store: Store, event: Event, user: str) -> None:
    """Both saw the same; one claims it."""
    job = JobId.new(event.id)
    store.seats.accept_hold(SeatId(event.id, 1), user, job)
    (seen,) = store.jobs.open_jobs(event.id, 0, 10)
    assert seen.task.user == user
    claims = []
    wait_for(lambda: store.events.load(event.id).now > seen.sent_at)
    claims = [store.jobs.claim_resends([seen]) for _ in range(3)]
    assert claims == [[seen], [], []]
    assert store.jobs.open_jobs(event.id, 0, 10)[0].attempts == 2


def test_active_is_shown_while_a_job_is_open(store: Store, event: Event, user: str) -> None:
    """And never of one that has ended."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    store.jobs.mark_active(job)
    assert store.jobs.read(job).status == "active"
    store.seats.hold(seat, user, job)
    store.jobs.mark_active(job)
    assert store.jobs.read(job).status == "completed"


def test_the_pace_of_an_event_is_the_time_between_two_ends(store: Store, event: Event) -> None:
    """Not the time since they arrived: twenty jobs that waited 300 ms are carried out in a few."""
    jobs = [(SeatId(event.id, n), str(uuid4()), JobId.new(event.id)) for n in range(1, 21)]
    for job in jobs:
        store.seats.accept_hold(*job)
    accepted = store.events.load(event.id).now
    wait_for(lambda: store.events.load(event.id).now > accepted + 300)
    for job in jobs:
        store.seats.hold(*job)
    assert 0 < int(store.client.hget(keys.event(event.id), "pace") or 0) < 200_000


def test_an_outage_says_nothing_about_the_pace(store: Store, event: Event, user: str) -> None:
    """Nor does a gap of twenty seconds for any other reason."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    before = store.events.load(event.id).now - 20_000
    store.client.hset(keys.event(event.id), mapping={"endedAt": before * 1000, "pace": 1234})
    store.client.hset(keys.job(job), "createdAt", before)
    store.seats.hold(seat, user, job)
    assert store.client.hget(keys.event(event.id), "pace") == "1234"


def test_a_state_that_cannot_be_reached_says_which_job_it_may_have(
    make_settings: Callable[..., Settings], event: Event, user: str
) -> None:
    """The touch before is no job yet; the accept itself may have been carried out."""
    job = JobId.new(event.id)
    gone = Store.connect(make_settings(redis_url="unix:///nonexistent/redis.sock"), connections=1)
    with pytest.raises(StateUnavailable) as before:
        gone.seats.accept_hold(SeatId(event.id, 1), user, job)
    assert before.value.job_id is None

    half = Store.connect(make_settings(), connections=1)
    real = half.scripts.run

    def lose_the_reply(name: str, *args: object, **named: object) -> object:
        reply = real(name, *args, **named)  # type: ignore[arg-type]  # passed through
        if name == "accept_hold":
            raise StateUnavailable from redis.TimeoutError()
        return reply

    half.scripts.run = lose_the_reply  # type: ignore[method-assign]  # a reply that gets lost
    with pytest.raises(StateUnavailable) as during:
        half.seats.accept_hold(SeatId(event.id, 1), user, job)
    assert during.value.job_id == str(job)
    assert half.jobs.read(job).status == "waiting"
