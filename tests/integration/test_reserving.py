"""Reserving: the pin that keeps a seat while its job is under way, and what is sold for good."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from reservation import keys
from reservation.codes import Code
from reservation.errors import (
    NotFound,
    QueueFull,
    ReservePending,
    SeatHeld,
    SeatReserved,
)
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.scripts import Scripts
from reservation.seats import Seats
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, expiry_ms, wait_for
from tests.integration.conftest import is_consistent, lapse


def test_reserving_sells_the_seat_for_good(store: Store, event: Event, buyer: Buyer, rival: Buyer) -> None:
    """Nobody can hold, refresh or release it; its buyer's second reserve succeeds and changes nothing."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    assert buyer.reserve(seat).code == Code.RESERVED
    shown = store.seats.get(seat)
    assert (shown.status, shown.user, shown.expires_at) == ("Reserved", buyer.user, None)
    assert not store.client.exists(keys.lock(seat), keys.holder(event.id, buyer.user))
    before = store.client.hgetall(keys.seat(seat))
    with pytest.raises(SeatReserved):
        rival.hold(seat)
    with pytest.raises(SeatReserved):
        rival.reserve(seat)
    with pytest.raises(SeatReserved):
        store.seats.refresh(seat, buyer.user)
    with pytest.raises(SeatReserved):
        store.seats.release(seat, buyer.user)
    assert buyer.reserve(seat).code == Code.RESERVED_ALREADY
    assert store.client.hgetall(keys.seat(seat)) == before
    assert is_consistent(store, event)


def test_a_reserved_seat_survives_every_expiry(brief: Store, event: Event, user: str) -> None:
    """The lock's, the release of due holds, and one that named the seat before it was sold."""
    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    brief.client.zadd(keys.holds(event.id), {str(seat): 1})  # as if it had been found due
    assert Buyer(brief, user).reserve(seat).code == Code.RESERVED
    brief.client.zadd(keys.holds(event.id), {str(seat): 1})
    names = [*keys.event_keys(event.id), keys.seat(seat), keys.lock(seat)]
    assert brief.scripts.run("release_due", names, [1000, "", "", str(seat)])[0] == 0
    assert brief.seats.get(seat).status == "Reserved"


def test_an_accepted_reserve_outlives_the_hold(brief: Store, event: Event, user: str, other: str) -> None:
    """Time in the queue does not lose the seat: nobody else gets it, nobody frees it, and it is sold."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    Buyer(brief, user).hold(seat)
    expires = brief.seats.get(seat).expires_at
    brief.seats.accept_reserve(seat, user, job)
    pinned = brief.seats.get(seat)
    assert pinned.expires_at == expires
    assert pinned.reserving_until == brief.jobs.read(job).deadline
    wait_for(lambda: brief.events.load(event.id).now > (expires or 0))
    assert brief.seats.release_due(event.id) == 0
    with pytest.raises(SeatHeld):
        brief.seats.accept_hold(seat, other, JobId.new(event.id))
    assert brief.seats.reserve(seat, user, job).code == Code.RESERVED


def test_while_a_reserve_is_pending_the_hold_is_left_alone(store: Store, event: Event, buyer: Buyer) -> None:
    """Refresh and release are refused; a second reserve is the first."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, job)
    with pytest.raises(ReservePending) as refused:
        store.seats.refresh(seat, buyer.user)
    assert refused.value.reserving_until == store.jobs.read(job).deadline
    with pytest.raises(ReservePending):
        store.seats.release(seat, buyer.user)
    assert store.seats.accept_reserve(seat, buyer.user, JobId.new(event.id)).job_id == str(job)


def test_a_reserve_that_fails_gives_the_hold_its_own_end_back(
    make_settings: Callable[..., Settings], store: Store, event: Event, user: str
) -> None:
    """Past the deadline the job changes nothing, and what is left of the hold is what it had."""
    late = Store.connect(make_settings(reserve_job_deadline=0.05), connections=2)
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    Buyer(store, user).hold(seat)
    expires = store.seats.get(seat).expires_at
    late.seats.accept_reserve(seat, user, job)
    wait_for(lambda: late.jobs.read(job).ended)
    assert late.seats.reserve(seat, user, job).code == Code.DEADLINE_PASSED
    shown = store.seats.get(seat)
    assert (shown.status, shown.expires_at, shown.reserving_until) == ("On hold", expires, None)
    assert "reservingUntil" not in store.client.hgetall(keys.seat(seat))
    assert expiry_ms(store, keys.lock(seat)) == pytest.approx(expires, abs=1)


def test_a_hold_is_pinned_beyond_its_end_once(
    make_settings: Callable[..., Settings], store: Store, event: Event, user: str
) -> None:
    """A second reserve of the same hold has to be done by the hold's end: asking again and again
    cannot keep a seat for ever."""
    late = Store.connect(make_settings(reserve_job_deadline=0.05), connections=2)
    seat = SeatId(event.id, 1)
    Buyer(store, user).hold(seat)
    first, second = JobId.new(event.id), JobId.new(event.id)
    late.seats.accept_reserve(seat, user, first)
    wait_for(lambda: late.jobs.read(first).ended)
    store.seats.accept_reserve(seat, user, second)
    assert store.jobs.read(second).deadline == store.seats.get(seat).expires_at
    assert store.seats.reserve(seat, user, second).code == Code.RESERVED


def test_a_lapsed_pin_frees_the_seat(
    make_settings: Callable[..., Settings], event: Event, user: str, other: str
) -> None:
    """With hold and deadline both over, the seat is free though nobody has failed the job yet."""
    late = Store.connect(make_settings(reserve_job_deadline=0.2, lock_expiration_time=0.1), connections=2)
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    Buyer(late, user).hold(seat)
    late.seats.accept_reserve(seat, user, job)
    lapse(late, seat)
    assert Buyer(late, other).hold(seat).code == Code.HELD
    assert "reserveJob" not in late.client.hgetall(keys.seat(seat)), "the new hold has its own pin to use"
    assert late.seats.reserve(seat, user, job).code == Code.DEADLINE_PASSED
    assert late.seats.get(seat).user == other


def test_failing_a_reserve_whose_hold_is_over_frees_the_seat(
    make_settings: Callable[..., Settings], event: Event, user: str
) -> None:
    """In the same step, and the user may hold as many as before."""
    late = Store.connect(make_settings(reserve_job_deadline=0.1, lock_expiration_time=0.05), connections=2)
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    Buyer(late, user).hold(seat)
    late.seats.accept_reserve(seat, user, job)
    lapse(late, seat)
    assert late.seats.fail(seat, user, job, Code.DEADLINE_PASSED).code == Code.DEADLINE_PASSED
    assert late.client.hget(keys.seat(seat), "status") == "Available"
    assert late.client.zscore(keys.holder(event.id, user), str(seat)) is None
    assert is_consistent(late, event)


def test_failing_a_reserve_early_gives_the_hold_its_own_end_back(store: Store, event: Event, buyer: Buyer) -> None:
    """Everywhere it is kept: the pin had moved it to the job's deadline."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    expires = store.seats.get(seat).expires_at
    store.seats.accept_reserve(seat, buyer.user, job)
    assert store.client.zscore(keys.holds(event.id), str(seat)) == store.jobs.read(job).deadline
    store.seats.fail(seat, buyer.user, job, Code.INTERNAL_ERROR)
    assert store.client.zscore(keys.holds(event.id), str(seat)) == expires
    assert store.client.zscore(keys.holder(event.id, buyer.user), str(seat)) == expires
    for key in (keys.lock(seat), keys.holder(event.id, buyer.user)):
        assert expiry_ms(store, key) == pytest.approx(expires, abs=1)


def test_failing_a_reserve_early_whose_hold_is_over_ends_it(brief: Store, event: Event, user: str) -> None:
    """And it no longer counts: the pin had let it live on to the job's deadline."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    Buyer(brief, user).hold(seat)
    expires = brief.seats.get(seat).expires_at or 0
    brief.seats.accept_reserve(seat, user, job)
    wait_for(lambda: brief.events.load(event.id).now > expires)
    assert brief.seats.get(seat).status == "On hold"
    brief.seats.fail(seat, user, job, Code.INTERNAL_ERROR)
    assert brief.seats.get(seat).status == "Available"
    assert not brief.client.exists(keys.holder(event.id, user))
    assert is_consistent(brief, event)


def test_a_hold_that_is_over_is_not_reserved(store: Store, event: Event, buyer: Buyer) -> None:
    """Whatever the ledger says: the script looks at the seat."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, job)
    store.client.hset(keys.seat(seat), mapping={"expiresAt": 1, "reservingUntil": 1})
    assert store.seats.reserve(seat, buyer.user, job).code == Code.HOLD_EXPIRED
    assert store.client.hget(keys.seat(seat), "status") == "Available"


def test_reserving_a_sold_seat_again_and_again_is_bounded(
    make_settings: Callable[..., Settings], event: Event, user: str
) -> None:
    """Its owner cannot fill the event's queue with it."""
    small = Store.connect(make_settings(max_open_jobs=3), connections=2)
    seat = SeatId(event.id, 1)
    Buyer(small, user).hold(seat)
    Buyer(small, user).reserve(seat)
    for _ in range(3):
        small.seats.accept_reserve(seat, user, JobId.new(event.id))
    with pytest.raises(QueueFull):
        small.seats.accept_reserve(seat, user, JobId.new(event.id))


def test_a_user_finds_again_what_is_theirs(store: Store, event: Event, buyer: Buyer, rival: Buyer) -> None:
    """Holds as each of them is read, the first to end first; reservations as they were made; and nobody else's."""
    assert store.seats.of_user(event.id, buyer.user).model_dump(include={"holds", "reservations"}) == {
        "holds": [],
        "reservations": [],
    }
    for number in (9, 10, 3, 4, 5):
        buyer.hold(SeatId(event.id, number))
    rival.hold(SeatId(event.id, 1))
    for number in (10, 9):
        buyer.reserve(SeatId(event.id, number))
    store.seats.release(SeatId(event.id, 4), buyer.user)
    store.seats.accept_reserve(SeatId(event.id, 3), buyer.user, JobId.new(event.id))
    own = store.seats.of_user(event.id, buyer.user)
    assert (own.event, own.limit, own.hold_duration) == (event.id, 6, 60_000)
    read = [store.seats.get(SeatId(event.id, number)) for number in (5, 3)]
    assert own.holds == [seat.model_copy(update={"server_time": own.server_time}) for seat in read]
    assert own.holds[1].reserving_until
    times = cast(Any, store.client.zrange(keys.buyer(event.id, buyer.user), 0, -1, withscores=True))
    assert own.reservations == [store.seats.get(SeatId.parse(text)) for text, _ in times]
    assert dict(times) == {
        text: float(store.client.hget(keys.seat(SeatId.parse(text)), "reservedAt") or 0)
        for text in (f"{event.id}-9", f"{event.id}-10")
    }


def test_a_hold_that_has_run_out_is_nobodys(brief: Store, event: Event, buyer: Buyer) -> None:
    """Before it is freed, while it is still in its user's set beside a later one."""
    buyer.hold(SeatId(event.id, 2))
    Buyer(brief, buyer.user).hold(SeatId(event.id, 1))
    lapse(brief, SeatId(event.id, 1))
    assert brief.client.zcard(keys.holder(event.id, buyer.user)) == 2
    assert [seat.id for seat in brief.seats.of_user(event.id, buyer.user).holds] == [f"{event.id}-2"]


def test_a_seat_says_itself_whose_it_is(store: Store, event: Event, buyer: Buyer, rival: Buyer) -> None:
    """An entry among a user's holds that is not true shows no hold: of another's seat, of a free or a reserved one."""
    rival.hold(SeatId(event.id, 1))
    buyer.hold(SeatId(event.id, 3))
    buyer.reserve(SeatId(event.id, 3))
    far = 9_999_999_999_999
    store.client.zadd(keys.holder(event.id, buyer.user), {f"{event.id}-{n}": far for n in (1, 2, 3)})
    assert store.seats.of_user(event.id, buyer.user).holds == []


class _Meanwhile(Scripts):
    """Lets something happen after the first look at a user's seats."""

    def __init__(self, scripts: Scripts, happens: Callable[[], object]) -> None:
        super().__init__(scripts.servers, scripts._guard)
        self._happens: Callable[[], object] | None = happens

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | int] = (), *, alone: bool = False) -> Any:
        reply = super().run(name, keys, args)
        happens, self._happens = self._happens, None
        if happens:
            happens()
        return reply


@pytest.mark.parametrize(
    ("what", "holds", "reserved"), [("hold", [1, 2], []), ("release", [], []), ("reserve", [], [1])]
)
def test_what_changes_meanwhile_is_shown_as_it_is_then(
    store: Store, event: Event, buyer: Buyer, what: str, holds: list[int], reserved: list[int]
) -> None:
    """All at one moment: which seats a user holds, and when those holds end, takes two looks."""
    first, second = SeatId(event.id, 1), SeatId(event.id, 2)
    buyer.hold(first)
    happens: dict[str, Callable[[], object]] = {
        "hold": lambda: buyer.hold(second),
        "release": lambda: store.seats.release(first, buyer.user),
        "reserve": lambda: buyer.reserve(first),
    }
    seats = Seats(_Meanwhile(store.scripts, happens[what]), store.seats._policy, store.seats._clock, store.rooms)
    own = seats.of_user(event.id, buyer.user)
    assert [seat.id for seat in own.holds] == [f"{event.id}-{number}" for number in holds]
    assert all(seat.expires_at for seat in own.holds)
    assert [seat.id for seat in own.reservations] == [f"{event.id}-{number}" for number in reserved]


def test_a_user_has_nothing_of_an_event_that_is_not_there(store: Store, user: str) -> None:
    """Which is said."""
    with pytest.raises(NotFound):
        store.seats.of_user("k3v9x2m7qa", user)
