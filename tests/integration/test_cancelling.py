"""Reservations are given back: once, by whom they belong to, and the seat is free at once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from falcon import testing

from reservation import keys
from reservation.codes import Code
from reservation.errors import NotOwner, NotReserved, Refused
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.store import Store
from tests.conftest import Buyer, changes
from tests.integration.conftest import is_consistent
from tests.web import bearer, post, problem


@pytest.fixture
def seat(event: Event, buyer: Buyer) -> SeatId:
    """One that the buyer has reserved."""
    seat = SeatId(event.id, 4)
    buyer.hold(seat)
    buyer.reserve(seat)
    return seat


def test_a_cancelled_seat_is_free_at_once(store: Store, event: Event, seat: SeatId, buyer: Buyer, rival: Buyer) -> None:
    """Nothing is left of the reservation but its history, and the next one gets the seat."""
    store.seats.cancel(seat, buyer.user, buyer.user, "request-1")
    assert store.seats.get(seat).status == "Available"
    assert store.client.hgetall(keys.seat(seat)).keys() == {"id", "eventId", "UUID", "status"}
    assert not store.client.exists(keys.buyer(event.id, buyer.user))
    last = changes(store, event.id)[-1]
    assert (last["cause"], last["seat"], last["request"]) == ("cancelled", "4", "request-1")
    assert last["actor"] == changes(store, event.id)[0]["actor"]
    assert rival.hold(seat).code == Code.HELD
    assert is_consistent(store, event)


def test_a_reservation_is_cancelled_once(store: Store, event: Event, seat: SeatId, buyer: Buyer, rival: Buyer) -> None:
    """Twenty at the same time: one. And whoever has the seat then does not lose it to a late one."""

    def cancel(_: int) -> str:
        try:
            store.seats.cancel(seat, buyer.user, buyer.user)
        except Refused as refused:
            return refused.slug
        return "cancelled"

    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(cancel, range(20)))
    assert (said.count("cancelled"), said.count("not-reserved")) == (1, 19)
    rival.hold(seat)
    assert cancel(0) == "not-reserved"
    rival.reserve(seat)
    assert cancel(0) == "not-owner"
    assert store.seats.get(seat).user == rival.user
    assert is_consistent(store, event)


def test_all_reservations_or_none(store: Store, event: Event, seat: SeatId, buyer: Buyer, rival: Buyer) -> None:
    """Another's, or a hold, is in the way."""
    rest = SeatId(event.id, 5), SeatId(event.id, 6)
    rival.hold(rest[0])
    rival.reserve(rest[0])
    buyer.hold(rest[1])
    with pytest.raises(NotOwner) as refused:
        store.seats.cancel([seat, *rest], buyer.user, buyer.user)
    assert [each["status"] for each in refused.value.conflicts] == ["Reserved", "On hold"]
    with pytest.raises(NotReserved) as held:
        store.seats.cancel([seat, rest[1]], buyer.user, buyer.user)
    assert held.value.current_status == "On hold"
    assert store.seats.get(seat).status == "Reserved"
    buyer.reserve(rest[1])
    store.seats.cancel([seat, rest[1]], buyer.user, buyer.user)
    assert [store.seats.get(each).status for each in (seat, rest[1])] == ["Available"] * 2


def test_whoever_it_is(store: Store, event: Event, seat: SeatId, buyer: Buyer, rival: Buyer) -> None:
    """The history says who cancelled. Of a group, all have to be one user's."""
    rival.hold(SeatId(event.id, 5))
    rival.reserve(SeatId(event.id, 5))
    operator = str(uuid4())
    with pytest.raises(NotOwner):
        store.seats.cancel([seat, SeatId(event.id, 5)], None, operator)
    store.seats.cancel(seat, None, operator)
    assert changes(store, event.id)[-1]["actor"] not in {c["actor"] for c in changes(store, event.id)[:-1]}
    with pytest.raises(NotReserved):
        store.seats.cancel(seat, None, operator)


def test_an_owner_who_changes_meanwhile_is_looked_up_again(
    store: Store, event: Event, seat: SeatId, buyer: Buyer, rival: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the script: the script was told the wrong keys, and changes nothing with them."""
    seats, get = store.seats, store.seats.get

    def look(seat_id: SeatId) -> object:
        found = get(seat_id)
        monkeypatch.setattr(seats, "get", get)
        seats.cancel(seat, buyer.user, buyer.user)
        rival.hold(seat)
        rival.reserve(seat)
        return found

    monkeypatch.setattr(seats, "get", look)
    seats.cancel(seat, None, str(uuid4()))
    assert store.seats.get(seat).status == "Available"
    assert not store.client.exists(keys.buyer(event.id, rival.user), keys.buyer(event.id, buyer.user))
    assert is_consistent(store, event)


def test_a_reserve_job_that_comes_late_does_not_take_it_back(
    store: Store, event: Event, seat: SeatId, buyer: Buyer
) -> None:
    """Accepted while the seat was the user's, carried out after the cancel."""
    job = JobId.new(event.id)
    store.seats.accept_reserve(seat, buyer.user, job)
    store.seats.cancel(seat, buyer.user, buyer.user)
    assert store.seats.reserve(seat, buyer.user, job).code == Code.HOLD_EXPIRED
    assert store.seats.get(seat).status == "Available"


# Over HTTP


def test_cancelling_over_http(client: testing.TestClient, seat: SeatId, buyer: Buyer, other: str) -> None:
    """204, and the same again with the same key; without one, and for others, refused."""
    own = {"id": str(seat), "UUID": buyer.user}
    problem(post(client, "/seats/cancel", {**own, "UUID": other}), 403, "not-owner")
    for _ in range(2):
        assert post(client, "/seats/cancel", own, **{"Idempotency-Key": "one"}).status_code == 204
    refused = problem(post(client, "/seats/cancel", own), 409, "not-reserved")
    assert refused["currentStatus"] == "Available"
    assert client.simulate_get(f"/seats/get/{seat}").json["status"] == "Available"


def test_operators_cancel_for_others(
    secured: testing.TestClient, store: Store, event: Event, seat: SeatId, buyer: Buyer, rival: Buyer
) -> None:
    """With the scope; naming the user to be sure, or not. Sent again with the same key it is answered the same, though
    the seat is somebody else's by then."""
    operator, key = bearer(str(uuid4()), "events:write"), {"Idempotency-Key": "one"}
    body = {"id": str(seat)}
    problem(post(secured, "/seats/cancel", body, **bearer(str(uuid4()))), 403, "not-owner")
    problem(post(secured, "/seats/cancel", {**body, "UUID": buyer.user}, **bearer(rival.user)), 403, "user-mismatch")
    problem(post(secured, "/seats/cancel", {**body, "UUID": rival.user}, **operator), 403, "not-owner")
    assert post(secured, "/seats/cancel", body, **operator, **key).status_code == 204
    rival.hold(seat)
    rival.reserve(seat)
    assert post(secured, "/seats/cancel", body, **operator, **key).status_code == 204
    assert store.seats.get(seat).user == rival.user
    other = post(secured, "/seats/cancel", {**body, "UUID": rival.user}, **operator, **key)
    problem(other, 422, "idempotency-key-reused")  # it names whose; the first did not
    assert post(secured, "/seats/cancel", {**body, "UUID": rival.user}, **operator).status_code == 204
    problem(post(secured, "/seats/hold", {**body, "UUID": rival.user}, **operator), 403, "user-mismatch")
