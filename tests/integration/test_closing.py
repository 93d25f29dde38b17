"""Sales end at a time, or now; and when they begin and end can be changed."""

from typing import Any

import pytest
from falcon import testing

from reservation import keys
from reservation.codes import Code
from reservation.errors import EventClosed, OpeningFixed, WrongTimes
from reservation.ids import JobId, SeatId, TicketId
from reservation.models import Event, WaitingRoom
from reservation.requests import Group
from reservation.store import Store
from tests.conftest import Buyer
from tests.integration.test_waiting_room import now_ms
from tests.web import bearer, post, problem

ROOM = WaitingRoom(admit_per_minute=60, admission_ttl=600)
HOUR_MS = 3_600_000


def close(store: Store, event: Event) -> int:
    """Ends an event's sales now; returns when that is."""
    closed = store.events.change(event.id, closes_at=1_000_000_000_000)
    assert closed.closes_at is not None
    return closed.closes_at


def test_from_then_on_no_seat_is_held(store: Store, event: Event, buyer: Buyer) -> None:
    """Not one that is named, nor the best; the refusal says when it was."""
    closed = close(store, event)
    with pytest.raises(EventClosed) as refused:
        buyer.hold(SeatId(event.id, 1))
    assert refused.value.closes_at == closed
    assert closed <= refused.value.closes_at + refused.value.since_ms <= now_ms(store)
    with pytest.raises(EventClosed):
        store.best.accept(Group.model_validate({"eventId": event.id, "quantity": 2}), buyer.user, JobId.new(event.id))


def test_a_job_that_was_accepted_before_gets_nothing(store: Store, event: Event, buyer: Buyer) -> None:
    """Whichever seats it is for: the script that carries it out goes by the time."""
    seat, named, best = SeatId(event.id, 1), JobId.new(event.id), JobId.new(event.id)
    store.seats.accept_hold(seat, buyer.user, named)
    _, picked = store.best.accept(Group.model_validate({"eventId": event.id, "quantity": 2}), buyer.user, best)
    close(store, event)
    assert store.seats.hold(seat, buyer.user, named).code == Code.EVENT_CLOSED
    assert store.best.hold(picked, buyer.user, best).code == Code.EVENT_CLOSED
    assert not store.client.exists(keys.picked(event.id))
    result = store.jobs.read(named).result
    assert result is not None
    assert (result.success, result.error) == (False, "event-closed")
    assert store.events.list_free(event.id).total == event.total_seats


def test_what_is_held_can_be_reserved_released_and_cancelled(store: Store, event: Event, buyer: Buyer) -> None:
    """Until the hold ends, which cannot be put off any more."""
    kept, given_back = SeatId(event.id, 1), SeatId(event.id, 2)
    for seat in (kept, given_back):
        buyer.hold(seat)
    ends = store.seats.get(kept).expires_at
    close(store, event)
    with pytest.raises(EventClosed):
        store.seats.refresh(kept, buyer.user)
    assert store.seats.get(kept).expires_at == ends
    store.seats.release(given_back, buyer.user)
    assert buyer.reserve(kept).code == Code.RESERVED
    store.seats.cancel(kept, buyer.user, buyer.user)
    assert store.seats.get(kept).status == "Available"


def test_nobody_is_let_in_any_more(store: Store, user: str, other: str) -> None:
    """Neither who has a ticket, nor who comes; it is no use waiting."""
    event = store.events.create("Opening night", 20, room=ROOM)
    drawn = store.rooms.draw(event.id, user).ticket
    close(store, event)
    with pytest.raises(EventClosed):
        store.rooms.draw(event.id, other)
    with pytest.raises(EventClosed):
        store.rooms.read(TicketId.parse(event.id, drawn.ticket))


def test_sales_that_have_ended_can_go_on(store: Store, event: Event, buyer: Buyer) -> None:
    """With another end, or none. An end that has been stays when it was."""
    closed = close(store, event)
    assert close(store, event) == closed
    later = now_ms(store) + HOUR_MS
    assert store.events.change(event.id, closes_at=later).closes_at == later
    assert buyer.hold(SeatId(event.id, 1)).code == Code.HELD
    assert store.events.change(event.id, closes_at="never") == store.events.get(event.id) == event


def test_an_opening_can_be_put_off_until_it_has_been(store: Store, event: Event) -> None:
    """Then it is what it was; the end can be changed all the same."""
    soon = now_ms(store) + HOUR_MS
    coming = store.events.create("Opening night", 20, opens_at=soon, closes_at=soon + 2)
    with pytest.raises(WrongTimes):
        store.events.change(coming.id, opens_at=soon + 2)
    with pytest.raises(WrongTimes):
        store.events.change(coming.id, closes_at=soon)
    changed = store.events.change(coming.id, opens_at=soon + 2, closes_at=soon + 3)
    assert (changed.opens_at, changed.closes_at) == (soon + 2, soon + 3)
    begun = store.events.change(coming.id, opens_at=1_000_000_000_000)
    assert begun.opens_at is not None
    assert coming.created_at <= begun.opens_at <= now_ms(store)
    for one in (begun, event):
        with pytest.raises(OpeningFixed):
            store.events.change(one.id, opens_at=soon)
    assert store.events.change(begun.id, opens_at=begun.opens_at) == begun


def test_an_opening_at_once_may_be_asked_for_again(store: Store) -> None:
    """By who got no answer."""
    event = store.events.create("Matinee", 10, opens_at=store.events.load("aaaaaaaaaa").now + 600_000)
    first = store.events.change(event.id, opens_at=1_500_000_000_000)
    assert store.events.change(event.id, opens_at=1_500_000_000_000) == first


def test_sales_can_be_called_off_before_they_begin(store: Store, buyer: Buyer) -> None:
    """By ending them."""
    event = store.events.create("Opening night", 20, opens_at=now_ms(store) + HOUR_MS)
    close(store, event)
    with pytest.raises(EventClosed):
        buyer.hold(SeatId(event.id, 1))


def test_who_has_a_ticket_is_not_put_off(store: Store, user: str) -> None:
    """Tickets drawn before the opening last until the last of them would be admitted, and no longer."""
    soon = now_ms(store) + HOUR_MS
    event = store.events.create("Opening night", 20, opens_at=soon, room=ROOM)
    store.events.change(event.id, opens_at=soon + 1)
    store.rooms.draw(event.id, user)
    with pytest.raises(OpeningFixed):
        store.events.change(event.id, opens_at=soon + 2)
    assert store.events.change(event.id, opens_at=soon).opens_at == soon


def test_over_http(client: testing.TestClient, store: Store, user: str) -> None:
    """An event says when its sales end; a hold after that is refused with the time."""
    later = now_ms(store) + HOUR_MS
    made = post(client, "/events/create", {"name": "Opening night", "totalSeats": 10, "closesAt": later}).json
    assert made["closesAt"] == later
    path = f"/events/{made['id']}"
    assert client.simulate_get(path).json == made
    assert client.simulate_get("/events").json["events"][0]["closesAt"] == later
    closed = client.simulate_patch(path, json={"closesAt": 1_000_000_000_000})
    assert closed.status_code == 200
    refused = problem(post(client, "/seats/hold", {"id": f"{made['id']}-1", "UUID": user}), 409, "event-closed")
    assert refused["closesAt"] == closed.json["closesAt"] <= refused["serverTime"]
    assert not refused["retryable"]
    again = client.simulate_patch(path, json={"closesAt": None})
    assert again.json == {name: value for name, value in made.items() if name != "closesAt"}
    assert post(client, "/seats/hold", {"id": f"{made['id']}-1", "UUID": user}).status_code == 202


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, ""),
        ({"opensAt": None}, "opensAt"),
        ({"opensAt": "soon"}, "opensAt"),
        ({"closesAt": 17}, "closesAt"),
        ({"name": "Closing night"}, "name"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    client: testing.TestClient, event: Event, change: dict[str, Any], field: str
) -> None:
    """And names the member."""
    refused = problem(client.simulate_patch(f"/events/{event.id}", json=change), 422, "invalid-request")
    assert [error["field"] for error in refused["errors"]] == [field]


@pytest.mark.parametrize(
    "times", [{"opensAt": 4_000_000_000_000, "closesAt": 4_000_000_000_000}, {"closesAt": 1_000_000_000_000}]
)
def test_an_event_without_a_sale_is_not_created(
    client: testing.TestClient, store: Store, times: dict[str, int]
) -> None:
    """One that would end before it begins, or has."""
    new = {"name": "Opening night", "totalSeats": 10, **times}
    for key in ({}, {"Idempotency-Key": "one"}):
        refused = problem(post(client, "/events/create", new, **key), 422, "invalid-request")
        assert [error["field"] for error in refused["errors"]] == ["closesAt"]
    assert not store.client.exists(keys.EVENTS)


def test_a_creation_is_answered_again_after_its_end(client: testing.TestClient, store: Store) -> None:
    """As it was: that its time is past by now is no reason against."""
    new = {"name": "Opening night", "totalSeats": 10, "closesAt": now_ms(store) + HOUR_MS}
    first = post(client, "/events/create", new, **{"Idempotency-Key": "one"})
    store.client.hset(keys.event(first.json["id"]), "closesAt", now_ms(store) - 1)
    again = post(client, "/events/create", new, **{"Idempotency-Key": "one"})
    assert (again.status_code, again.json["id"]) == (201, first.json["id"])


def test_a_change_takes_a_scope(secured: testing.TestClient, event: Event, user: str) -> None:
    """That of those who sell the event."""
    path, body = f"/events/{event.id}", {"closesAt": 4_000_000_000_000}
    problem(secured.simulate_patch(path, json=body), 401, "token-missing")
    problem(secured.simulate_patch(path, json=body, headers=bearer(user)), 403, "scope-missing")
    assert secured.simulate_patch(path, json=body, headers=bearer(user, "events:write")).status_code == 200
    problem(
        secured.simulate_patch("/events/k3v9x2m7qa", json=body, headers=bearer(user, "events:write")), 404, "not-found"
    )
