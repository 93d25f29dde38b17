"""Calls that a client makes directly, on a network that loses replies and delivers late."""

from collections.abc import Callable

import pytest

from reservation import keys
from reservation.errors import NotFound, StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.store import Store
from tests.conftest import Buyer, changes, wait_for


@pytest.fixture
def twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Makes a script run again once something else has happened, as redis-py does whose reply was lost."""

    def make(script: str, meanwhile: Callable[[], object]) -> None:
        real = store.scripts.run

        def run(name: str, *arguments: object, **named: object) -> object:
            reply = real(name, *arguments, **named)  # type: ignore[arg-type]  # passed through
            if name != script:
                return reply
            monkeypatch.setattr(store.scripts, "run", real)
            meanwhile()
            return real(name, *arguments, **named)  # type: ignore[arg-type]  # passed through

        monkeypatch.setattr(store.scripts, "run", run)

    return make


@pytest.fixture
def slow(store: Store) -> Callable[[], None]:
    """From then on, calls reach the server a second and a half late, and a little more."""

    def make() -> None:
        clock = store.seats._clock
        clock.read()
        assert clock._ahead_ms is not None
        clock._ahead_ms -= 1_600

    return make


def test_a_release_that_is_sent_again_leaves_the_next_holder_alone(
    store: Store, event: Event, buyer: Buyer, rival: Buyer, twice: Callable[[str, Callable[[], object]], None]
) -> None:
    """It was carried out, and says so."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    twice("release", lambda: rival.hold(seat))
    store.seats.release(seat, buyer.user)
    assert store.seats.get(seat).user == rival.user
    assert [c["cause"] for c in changes(store, event.id)] == ["held", "released", "held"]


def test_a_release_that_is_sent_again_does_not_end_ones_own_next_hold(
    store: Store, event: Event, buyer: Buyer, twice: Callable[[str, Callable[[], object]], None]
) -> None:
    """Which the user made in between, from another window."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    twice("release", lambda: buyer.hold(seat))
    store.seats.release(seat, buyer.user)
    assert store.seats.get(seat).status == "On hold"


def test_a_release_that_is_sent_again_after_many_others_runs_no_more(
    store: Store, event: Event, buyer: Buyer, twice: Callable[[str, Callable[[], object]], None]
) -> None:
    """What others do to the seat meanwhile does not make it forgotten."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)

    def hold_and_refresh() -> None:
        buyer.hold(seat)
        store.seats.refresh(seat, buyer.user)

    twice("release", hold_and_refresh)
    store.seats.release(seat, buyer.user)
    assert store.seats.get(seat).status == "On hold"


def test_a_refresh_that_is_sent_again_answers_the_same(
    store: Store, event: Event, buyer: Buyer, twice: Callable[[str, Callable[[], object]], None]
) -> None:
    """Even if the hold is being reserved by then."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    twice("refresh", lambda: store.seats.accept_reserve(seat, buyer.user, JobId.new(event.id)))
    (refreshed,) = store.seats.refresh(seat, buyer.user)
    assert refreshed.expires_at == store.seats.get(seat).expires_at
    assert [c["cause"] for c in changes(store, event.id)] == ["held", "refreshed"]


def test_another_call_is_not_taken_for_the_same(store: Store, event: Event, buyer: Buyer) -> None:
    """Each has an id of its own."""
    seat = SeatId(event.id, 1)
    for _ in range(2):
        buyer.hold(seat)
        store.seats.refresh(seat, buyer.user)
        store.seats.refresh(seat, buyer.user)
        store.seats.release(seat, buyer.user)
    assert [c["cause"] for c in changes(store, event.id)] == ["held", "refreshed", "refreshed", "released"] * 2


def test_a_call_that_arrives_late_has_no_effect(
    store: Store, event: Event, buyer: Buyer, slow: Callable[[], None]
) -> None:
    """Its caller was told long ago that nobody answered, and may hold the seat anew by now."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    before, recorded = store.client.hgetall(keys.seat(seat)), changes(store, event.id)
    slow()
    for call in (
        lambda: store.seats.release(seat, buyer.user),
        lambda: store.seats.refresh(seat, buyer.user),
        lambda: store.seats.accept_reserve(seat, buyer.user, job),
        lambda: store.seats.accept_hold(SeatId(event.id, 2), buyer.user, job),
    ):
        with pytest.raises(StateUnavailable) as refused:
            call()
        assert refused.value.job_id is None, "it is certain that there is no job"
    assert store.client.hgetall(keys.seat(seat)) == before
    assert changes(store, event.id) == recorded
    with pytest.raises(NotFound):
        store.jobs.read(job)


def test_a_call_that_is_sent_again_late_answers_what_it_did(
    store: Store,
    event: Event,
    buyer: Buyer,
    twice: Callable[[str, Callable[[], object]], None],
) -> None:
    """A job that is in the ledger is never denied: it will be carried out."""

    def wait() -> None:
        """Until the call is too old."""
        sent = store.events.load(event.id).now
        wait_for(lambda: store.events.load(event.id).now > sent + 1_600)

    store.seats._clock.read()
    seat, hold, reserve = SeatId(event.id, 1), JobId.new(event.id), JobId.new(event.id)
    twice("accept_hold", wait)
    assert store.seats.accept_hold(seat, buyer.user, hold).job_id == str(hold)
    store.seats.hold(seat, buyer.user, hold)
    twice("refresh", wait)
    assert store.seats.refresh(seat, buyer.user)[0].expires_at == store.seats.get(seat).expires_at
    twice("accept_reserve", wait)
    assert store.seats.accept_reserve(seat, buyer.user, reserve).job_id == str(reserve)
    buyer.hold(SeatId(event.id, 2))
    twice("release", wait)
    store.seats.release(SeatId(event.id, 2), buyer.user)


def test_a_call_that_was_not_sent_names_no_job(store: Store, event: Event, buyer: Buyer) -> None:
    """While the breaker is open nothing is, and a client need not ask for a job that cannot be."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    store.guard._breaker.open()
    with pytest.raises(StateUnavailable) as refused:
        store.seats.accept_reserve(seat, buyer.user, JobId.new(event.id))
    assert refused.value.job_id is None


def test_a_call_that_arrives_in_time_takes_effect(store: Store, event: Event, buyer: Buyer) -> None:
    """With the server's clock known, as in the API."""
    seat = SeatId(event.id, 1)
    store.seats._clock.read()
    buyer.hold(seat)
    store.seats.refresh(seat, buyer.user)
    store.seats.release(seat, buyer.user)
    assert store.seats.get(seat).status == "Available"


def test_a_job_is_carried_out_however_late_its_message(
    store: Store, event: Event, buyer: Buyer, slow: Callable[[], None]
) -> None:
    """Until its deadline: a job is a promise, not a call."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, buyer.user, job)
    slow()
    store.seats.hold(seat, buyer.user, job)
    assert store.seats.get(seat).user == buyer.user
