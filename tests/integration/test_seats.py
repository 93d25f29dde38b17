"""The life of a seat, on the real scripts: hold, refresh, release, expire."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from reservation import keys
from reservation.codes import Code
from reservation.errors import (
    LimitReached,
    NotFound,
    NotHolder,
    NotOnHold,
    QueueFull,
    SeatHeld,
)
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, changes, expiry_ms, wait_for
from tests.integration.conftest import is_consistent, lapse


def test_a_free_seat_can_be_held(store: Store, event: Event, buyer: Buyer) -> None:
    """It leaves the list, and says whose it is and until when."""
    seat = SeatId(event.id, 3)
    assert buyer.hold(seat).code == Code.HELD
    shown = store.seats.get(seat)
    assert (shown.status, shown.user) == ("On hold", buyer.user)
    assert shown.expires_at is not None
    assert shown.server_time is not None
    assert 59_000 < shown.expires_at - shown.server_time <= 60_000
    free = store.events.list_free(event.id)
    assert free.total == 19
    assert str(seat) not in (free.ids or [])
    assert 59_000 < store.client.pttl(keys.lock(seat)) <= 60_000
    assert is_consistent(store, event)


def test_a_held_seat_is_refused_at_once(event: Event, buyer: Buyer, rival: Buyer) -> None:
    """Accepting says no where it is certain."""
    buyer.hold(SeatId(event.id, 3))
    with pytest.raises(SeatHeld):
        rival.hold(SeatId(event.id, 3))


def test_of_two_accepted_the_first_gets_the_seat(store: Store, event: Event, user: str, other: str) -> None:
    """Both may have seen it free; the script decides."""
    seat, first, second = SeatId(event.id, 3), JobId.new(event.id), JobId.new(event.id)
    assert store.seats.accept_hold(seat, user, first).rank == 0
    assert store.seats.accept_hold(seat, other, second).rank == 1
    assert store.seats.hold(seat, other, second).code == Code.HELD
    assert store.seats.hold(seat, user, first).code == Code.SEAT_HELD
    result = store.jobs.read(first).result
    assert result is not None
    assert (result.success, result.error) == (False, "seat-held")


def test_a_hundred_holds_of_one_seat_have_one_winner(store: Store, event: Event) -> None:
    """In parallel, on a hundred connections' worth of threads."""
    seat = SeatId(event.id, 7)
    jobs = [(str(uuid4()), JobId.new(event.id)) for _ in range(100)]
    for user, job in jobs:
        store.seats.accept_hold(seat, user, job)
    with ThreadPoolExecutor(32) as pool:
        codes = list(pool.map(lambda j: store.seats.hold(seat, *j).code, jobs))
    assert codes.count(Code.HELD) == 1
    assert codes.count(Code.SEAT_HELD) == 99
    assert is_consistent(store, event)


def test_a_user_holds_no_more_than_the_limit(store: Store, user: str) -> None:
    """Thirty holds of thirty seats in parallel: six."""
    event = store.events.create("Opening night", 30)
    jobs = [(SeatId(event.id, n), JobId.new(event.id)) for n in range(1, 31)]
    for seat, job in jobs:
        store.seats.accept_hold(seat, user, job)
    with ThreadPoolExecutor(30) as pool:
        codes = list(pool.map(lambda j: store.seats.hold(j[0], user, j[1]).code, jobs))
    assert codes.count(Code.HELD) == 6
    assert codes.count(Code.LIMIT_REACHED) == 24
    with pytest.raises(LimitReached) as refused:
        store.seats.accept_hold(jobs[codes.index(Code.LIMIT_REACHED)][0], user, JobId.new(event.id))
    assert (refused.value.limit, refused.value.held) == (6, 6)


def test_the_limit_counts_live_holds_only(brief: Store, event: Event, user: str) -> None:
    """Holds that ran out, reservations and other events do not count."""
    buyer = Buyer(brief, user)
    for number in range(1, 7):
        assert buyer.hold(SeatId(event.id, number)).code == Code.HELD
    other_event = brief.events.create("Matinee", 10)
    assert buyer.hold(SeatId(other_event.id, 1)).code == Code.HELD
    assert buyer.reserve(SeatId(event.id, 6)).code == Code.RESERVED
    assert buyer.hold(SeatId(event.id, 7)).code == Code.HELD
    lapse(brief, SeatId(event.id, 7))
    for number in range(1, 6):
        assert buyer.hold(SeatId(event.id, number)).code == Code.HELD


def test_holds_that_ran_out_make_room_beside_those_that_live(
    store: Store, brief: Store, event: Event, user: str
) -> None:
    """Five that ended and one that lives: five more."""
    Buyer(store, user).hold(SeatId(event.id, 1))
    for number in range(2, 7):
        Buyer(brief, user).hold(SeatId(event.id, number))
    lapse(brief, SeatId(event.id, 6))
    codes = [Buyer(store, user).hold(SeatId(event.id, number)).code for number in range(11, 16)]
    assert codes == [Code.HELD] * 5
    with pytest.raises(LimitReached):
        store.seats.accept_hold(SeatId(event.id, 16), user, JobId.new(event.id))


def test_holding_ones_own_seat_again_leaves_its_expiry(store: Store, event: Event, buyer: Buyer) -> None:
    """It succeeds, at the limit too, and extends nothing."""
    for number in range(1, 7):
        buyer.hold(SeatId(event.id, number))
    before = store.seats.get(SeatId(event.id, 1)).expires_at
    assert buyer.hold(SeatId(event.id, 1)).code == Code.HELD_ALREADY
    assert store.seats.get(SeatId(event.id, 1)).expires_at == before


def test_refresh_moves_the_expiry(brief: Store, event: Event, user: str) -> None:
    """Everywhere it is kept; the hold outlives its first end."""
    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    first = brief.seats.get(seat).expires_at
    assert first is not None
    wait_for(lambda: int(brief.client.time()[0] * 1000 + brief.client.time()[1] / 1000) > first - 100)
    (refreshed,) = brief.seats.refresh(seat, user)
    assert refreshed.expires_at is not None
    assert refreshed.expires_at > first
    ends = {
        brief.client.zscore(keys.holds(event.id), str(seat)),
        brief.client.zscore(keys.holder(event.id, user), str(seat)),
        float(brief.client.hget(keys.seat(seat), "expiresAt") or 0),
    }
    assert ends == {float(refreshed.expires_at)}
    for key in (keys.lock(seat), keys.holder(event.id, user)):
        assert expiry_ms(brief, key) == pytest.approx(refreshed.expires_at, abs=1)


def test_only_the_holder_refreshes_reserves_or_releases(store: Store, event: Event, buyer: Buyer, other: str) -> None:
    """Anybody else is refused, and nothing changes."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    before = store.client.hgetall(keys.seat(seat))
    with pytest.raises(NotHolder):
        store.seats.refresh(seat, other)
    with pytest.raises(NotHolder):
        store.seats.accept_reserve(seat, other, JobId.new(event.id))
    with pytest.raises(NotHolder):
        store.seats.release(seat, other)
    assert store.client.hgetall(keys.seat(seat)) == before


def test_a_free_seat_is_neither_refreshed_nor_reserved(store: Store, event: Event, user: str) -> None:
    """It has to be held first; releasing it is nothing to do."""
    seat = SeatId(event.id, 1)
    with pytest.raises(NotOnHold):
        store.seats.refresh(seat, user)
    with pytest.raises(NotOnHold):
        store.seats.accept_reserve(seat, user, JobId.new(event.id))
    store.seats.release(seat, user)


def test_release_frees_the_seat_at_once(store: Store, event: Event, buyer: Buyer, rival: Buyer) -> None:
    """For anybody; the second release does nothing."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    store.seats.release(seat, buyer.user)
    store.seats.release(seat, buyer.user)
    assert store.events.list_free(event.id).total == 20
    assert not store.client.exists(keys.lock(seat))
    assert rival.hold(seat).code == Code.HELD
    assert is_consistent(store, event)


def test_a_released_seat_no_longer_counts(store: Store, event: Event, buyer: Buyer) -> None:
    """At the limit, giving one back makes room for another."""
    for number in range(1, 7):
        buyer.hold(SeatId(event.id, number))
    store.seats.release(SeatId(event.id, 1), buyer.user)
    assert buyer.hold(SeatId(event.id, 7)).code == Code.HELD


def test_a_hold_ends_at_its_time_with_nobody_about(brief: Store, event: Event, user: str, other: str) -> None:
    """No listener, no sweeper: the seat lists as free, its holder cannot reserve it, another can hold it."""
    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    assert brief.events.list_free(event.id).total == 19
    lapse(brief, seat)
    free = brief.events.list_free(event.id)
    assert free.total == 20
    assert (free.ids or [])[0] == str(seat)
    assert brief.client.hget(keys.seat(seat), "status") == "On hold", "nobody has written it down"
    with pytest.raises(NotOnHold):
        brief.seats.accept_reserve(seat, user, JobId.new(event.id))
    with pytest.raises(NotOnHold):
        brief.seats.refresh(seat, user)
    assert Buyer(brief, other).hold(seat).code == Code.HELD
    assert brief.seats.get(seat).user == other
    assert [change["cause"] for change in changes(brief, event.id)] == ["held", "expired", "held"]
    assert is_consistent(brief, event)


def test_a_hold_ends_to_the_millisecond(brief: Store, event: Event, user: str) -> None:
    """Not before its `expiresAt`, and not one read later: by seat, by list, and by what it allows."""

    def now() -> int:
        seconds, micros = brief.client.time()
        return seconds * 1000 + micros // 1000

    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    expires = brief.seats.get(seat).expires_at
    assert expires is not None
    before = after = 0
    while after < 20:
        began = now()
        status, total = brief.seats.get(seat).status, brief.events.list_free(event.id).total
        ended = now()
        if ended < expires:
            assert (status, total) == ("On hold", 19)
            before += 1
        if began >= expires:
            assert (status, total) == ("Available", 20)
            after += 1
    assert before > 20
    with pytest.raises(NotOnHold):
        brief.seats.refresh(seat, user)


def test_a_seat_held_anew_is_not_released(store: Store, brief: Store, event: Event, user: str, other: str) -> None:
    """Between being named as due and being released, it may have found another holder."""
    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    lapse(brief, seat)
    due = store.scripts.run("due_seats", [keys.holds(event.id)], [100])
    assert due == [str(seat)]
    Buyer(store, other).hold(seat)
    names = [*keys.event_keys(event.id), keys.seat(seat), keys.lock(seat)]
    assert store.scripts.run("release_due", names, [1000, "", "", *due]) == [0, 0]
    assert store.seats.get(seat).user == other


def test_due_holds_are_released_fifty_at_a_time(brief: Store) -> None:
    """All of them, in calls of bounded length; live and reserved seats are not touched."""
    event = brief.events.create("Opening night", 250)
    users = [Buyer(brief, str(uuid4())) for _ in range(42)]
    for number in range(1, 251):
        assert users[(number - 1) // 6].hold(SeatId(event.id, number)).code in (Code.HELD,)
        if number == 250:
            users[-1].reserve(SeatId(event.id, 250))
    wait_for(lambda: brief.events.load(event.id).due == 249)
    assert brief.seats.release_due(event.id) == 249
    assert brief.events.load(event.id).holds == 0
    assert brief.events.list_free(event.id).total == 249
    assert is_consistent(brief, event)


def test_one_at_a_time_frees_an_events_due_seats(brief: Store, event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several would all pick the same ones."""
    other = brief.events.create("Another", 10)
    seat = SeatId(event.id, 1)
    Buyer(brief, str(uuid4())).hold(seat)
    lapse(brief, seat)
    run = brief.scripts.run
    told: list[list[str]] = []

    def run_claimed(name: str, *args: Any, **more: Any) -> Any:
        if name == "release_due":
            told.append(brief.seats.claim_releases([event.id, other.id]))
        return run(name, *args, **more)

    monkeypatch.setattr(brief.scripts, "run", run_claimed)
    assert brief.seats.claim_releases([event.id]) == [event.id]
    assert brief.seats.release_claimed(event.id) == 1
    assert told == [[other.id]]
    assert brief.events.load(event.id).holds == 0
    assert brief.seats.claim_releases([other.id, event.id]) == [event.id], "it was given back"


def test_entries_that_are_no_holds_are_dropped(store: Store, event: Event, brief: Store, user: str) -> None:
    """Rather than named for ever, and what is due behind them is released all the same."""
    store.client.zadd(keys.holds(event.id), {f"{event.id}-{n}": 1 for n in range(101, 206)})
    Buyer(brief, user).hold(SeatId(event.id, 1))
    lapse(brief, SeatId(event.id, 1))
    assert store.seats.release_due(event.id) == 1
    assert store.events.load(event.id).holds == 0


def test_the_stream_goes_back_as_far_as_it_shall(
    make_settings: Callable[..., Settings], event: Event, user: str
) -> None:
    """What is older goes with later changes, in stretches of a hundred."""
    forgetful = Store.connect(make_settings(changes_retention=0.05), connections=2)
    seat = SeatId(event.id, 1)
    Buyer(forgetful, user).hold(seat)
    for _ in range(300):
        forgetful.seats.refresh(seat, user)
    before = forgetful.events.load(event.id).now
    wait_for(lambda: forgetful.events.load(event.id).now > before + 60)
    forgetful.seats.refresh(seat, user)
    assert len(changes(forgetful, event.id)) < 110


def test_unknown_events_and_seats_are_not_found(store: Store, event: Event, user: str) -> None:
    """By every call."""
    for seat in (SeatId("k3v9x2m7qa", 1), SeatId(event.id, 21)):
        for call in (
            lambda s=seat: store.seats.get(s),
            lambda s=seat: store.seats.accept_hold(s, user, JobId.new(s.event)),
            lambda s=seat: store.seats.accept_reserve(s, user, JobId.new(s.event)),
            lambda s=seat: store.seats.refresh(s, user),
            lambda s=seat: store.seats.release(s, user),
        ):
            with pytest.raises(NotFound):
                call()
    assert not store.client.exists(keys.jobs(event.id))


def test_a_full_queue_refuses_holds_but_not_reserves(
    make_settings: Callable[..., Settings], store: Store, event: Event, user: str, other: str
) -> None:
    """Who has a hold can always ask to have it reserved: those jobs are no more than there are seats."""
    Buyer(store, user).hold(SeatId(event.id, 1))
    small = Store.connect(make_settings(max_open_jobs=2), connections=2)
    for number in (2, 3):
        small.seats.accept_hold(SeatId(event.id, number), other, JobId.new(event.id))
    with pytest.raises(QueueFull):
        small.seats.accept_hold(SeatId(event.id, 4), other, JobId.new(event.id))
    assert small.seats.accept_reserve(SeatId(event.id, 1), user, JobId.new(event.id)).rank == 2


def test_every_change_is_in_the_stream_and_no_user_is(store: Store, event: Event, buyer: Buyer) -> None:
    """In order, with cause, job and request; the user as a hash that is the same within the event."""
    seat, job = SeatId(event.id, 4), JobId.new(event.id)
    store.seats.accept_hold(seat, buyer.user, job, "request-1")
    store.seats.hold(seat, buyer.user, job, "request-1")
    store.seats.refresh(seat, buyer.user, "request-2")
    store.seats.release(seat, buyer.user, "request-3")
    buyer.hold(seat)
    buyer.reserve(seat)
    entries = changes(store, event.id)
    assert [e["cause"] for e in entries] == ["held", "refreshed", "released", "held", "reserved"]
    assert [e["seq"] for e in entries] == ["1", "2", "3", "4", "5"]
    assert {e["seat"] for e in entries} == {"4"}
    assert (entries[0]["job"], entries[0]["request"], entries[1]["request"]) == (str(job), "request-1", "request-2")
    assert len({e["actor"] for e in entries}) == 1
    assert buyer.user not in str(entries)
