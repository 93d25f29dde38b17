"""Operators take seats out of the sale and put them back: all that are named or none, at once."""

from typing import Any

import pytest
from falcon import testing

from reservation import keys
from reservation.codes import Code
from reservation.errors import Refused, SeatBlocked, SeatHeld
from reservation.ids import MAX_BLOCK, JobId, SeatId
from reservation.models import Event
from reservation.store import Store
from tests.conftest import Buyer, changes
from tests.integration.conftest import lapse
from tests.web import bearer, post, problem


def _named(event: Event, *numbers: int) -> list[SeatId]:
    return [SeatId(event.id, number) for number in numbers]


def test_a_blocked_seat_is_not_to_be_had(store: Store, event: Event, buyer: Buyer) -> None:
    """Neither held, nor reserved, nor picked; and it is counted as what it is."""
    seats = _named(event, 1, 2)
    store.seats.block(seats, "")
    for seat in seats:
        assert store.seats.get(seat).status == "Blocked"
        with pytest.raises(SeatBlocked) as refused:
            buyer.hold(seat)
        assert refused.value.fields == {"currentStatus": "Blocked"}
    with pytest.raises(SeatBlocked) as group:
        store.seats.accept_hold([*_named(event, 3), *seats], buyer.user, JobId.new(event.id))
    assert group.value.conflicts == [{"seatId": str(seat), "status": "Blocked"} for seat in seats]
    with pytest.raises(SeatBlocked):
        store.seats.refresh(seats[0], buyer.user)
    with pytest.raises(SeatBlocked):
        buyer.reserve(seats[0])
    with pytest.raises(Refused) as cancelled:
        store.seats.cancel(seats[0], buyer.user, buyer.user)
    assert (cancelled.value.slug, cancelled.value.current_status) == ("not-reserved", "Blocked")
    shown = store.events.seat_map(event.id).map
    assert shown is not None
    assert shown.seats == "BB" + "A" * (event.total_seats - 2)
    assert (shown.free, shown.held, shown.reserved, shown.blocked) == (event.total_seats - 2, 0, 0, 2)
    (summary,) = store.events.newest(1).events
    assert (summary.free, summary.reserved, summary.blocked) == (event.total_seats - 2, 0, 2)
    assert store.events.list_free(event.id, limit=1).ids == [f"{event.id}-3"]


def test_a_job_that_was_accepted_before_does_not_get_it(store: Store, event: Event, buyer: Buyer) -> None:
    """The verdict says why not."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, buyer.user, job)
    store.seats.block([seat], "")
    assert store.seats.hold(seat, buyer.user, job).code == Code.SEAT_BLOCKED
    result = store.jobs.read(job).result
    assert result is not None
    assert (result.error, result.message) == ("seat-blocked", "This seat is not for sale.")


def test_it_is_free_again_once_it_is_unblocked(store: Store, event: Event, buyer: Buyer) -> None:
    """Nothing is left of it but its history. What is not blocked stays as it is."""
    blocked, held = _named(event, 1, 2)
    buyer.hold(held)
    store.seats.block([blocked], "")
    for _ in range(2):
        store.seats.unblock([blocked, held], "")
    assert store.client.hgetall(keys.seat(blocked)).keys() == {"id", "eventId", "UUID", "status"}
    assert not store.client.exists(keys.blocked(event.id))
    assert [store.seats.get(seat).status for seat in (blocked, held)] == ["Available", "On hold"]
    assert [change["cause"] for change in changes(store, event.id)] == ["held", "blocked", "unblocked"]
    assert buyer.hold(blocked).code == Code.HELD


def test_all_of_them_or_none(store: Store, event: Event, buyer: Buyer) -> None:
    """What somebody holds or has reserved is in the way; what is blocked already is not."""
    free, blocked, held, sold = _named(event, 1, 2, 3, 4)
    store.seats.block([blocked], "")
    for seat in (held, sold):
        buyer.hold(seat)
    with pytest.raises(SeatHeld) as refused:
        store.seats.block([free, blocked, held], "")
    assert refused.value.conflicts == [{"seatId": str(held), "status": "On hold"}]
    buyer.reserve(sold)
    with pytest.raises(Refused) as second:
        store.seats.block([held, sold], "")
    assert second.value.slug == "seat-reserved"
    assert [each["status"] for each in second.value.conflicts] == ["On hold", "Reserved"]
    assert store.seats.get(free).status == "Available"
    store.seats.block([free, blocked], "")
    assert [change["cause"] for change in changes(store, event.id)].count("blocked") == 2


def test_a_hold_that_has_run_out_is_not_in_the_way(brief: Store, event: Event, buyer: Buyer) -> None:
    """Though nobody has written that down. In the event's history the seats that one call blocks follow each other."""
    seats, job = _named(event, 1, 2), JobId.new(event.id)
    brief.seats.accept_hold(seats, buyer.user, job)
    brief.seats.hold(seats, buyer.user, job)
    lapse(brief, seats[1])
    brief.seats.block(seats, "")
    assert [change["cause"] for change in changes(brief, event.id)] == ["held"] * 2 + ["expired"] * 2 + ["blocked"] * 2
    assert not brief.client.zcard(keys.holds(event.id))


def test_a_version_that_knows_nothing_of_it_takes_it_for_a_reserved_one(store: Store, event: Event) -> None:
    """Nobody's: what its scripts look at is the status in the seat's hash."""
    seat = SeatId(event.id, 1)
    store.seats.block([seat], "")
    assert store.client.hmget(keys.seat(seat), "status", "UUID") == ["Reserved", ""]


def test_what_such_a_version_has_sold_stays_sold(store: Store, event: Event, buyer: Buyer) -> None:
    """It lets operators cancel what it takes for a reservation."""
    seat = SeatId(event.id, 1)
    store.seats.block([seat], buyer.user)
    store.client.hset(keys.seat(seat), "UUID", buyer.user)
    store.seats.unblock([seat], buyer.user)
    assert store.seats.get(seat).status == "Reserved"
    assert store.client.zcard(keys.blocked(event.id)) == 0


def test_as_many_as_one_call_may_name(store: Store, buyer: Buyer) -> None:
    """At once, with one entry each."""
    event = store.events.create("Opening night", MAX_BLOCK)
    seats = _named(event, *range(1, MAX_BLOCK + 1))
    store.seats.block(seats, buyer.user, "Orchestra pit", "request-1")
    entries = changes(store, event.id)
    assert [entry["seat"] for entry in entries] == [str(seat.number) for seat in seats]
    assert {entry["reason"] for entry in entries} == {"Orchestra pit"}
    assert len({entry["actor"] for entry in entries} - {""}) == 1


def test_over_http(client: testing.TestClient, store: Store, event: Event, user: str) -> None:
    """Answered directly; the history has reason and request, and a table a column for it."""
    path, body = f"/events/{event.id}/block", {"ids": [f"{event.id}-1", f"{event.id}-2"], "reason": "Broken, both"}
    for _ in range(2):
        assert post(client, path, body, **{"X-Request-ID": "request-1"}).status_code == 204
    refused = post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": user})
    problem(refused, 409, "seat-blocked")
    assert refused.json["currentStatus"] == "Blocked"
    entries = client.simulate_get(f"/events/{event.id}/audit").json["entries"]
    assert [(e["cause"], e["to"], e["reason"], e["request"]) for e in entries] == [
        ("blocked", "Blocked", "Broken, both", "request-1")
    ] * 2
    assert "actor" not in entries[0]
    table = client.simulate_get(f"/events/{event.id}/audit?format=csv").text.splitlines()
    assert table[0].endswith(",request,reason")
    assert table[1].endswith(',request-1,"Broken, both"')
    assert client.simulate_get(f"/events/{event.id}/seats").json["blocked"] == 2
    assert post(client, f"/events/{event.id}/unblock", {"ids": body["ids"]}).status_code == 204
    assert client.simulate_get(f"/events/{event.id}/seats").json["blocked"] == 0


def test_a_request_that_is_sent_again_is_done_once(client: testing.TestClient, store: Store, event: Event) -> None:
    """With its key it is answered as before, whatever has happened since."""
    key, body = {"Idempotency-Key": "one"}, {"ids": [f"{event.id}-1"]}
    assert post(client, f"/events/{event.id}/block", body, **key).status_code == 204
    store.seats.unblock(_named(event, 1), "")
    again = post(client, f"/events/{event.id}/block", body, **key)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (204, "true")
    assert store.seats.get(SeatId(event.id, 1)).status == "Available"
    other = post(client, f"/events/{event.id}/block", {"ids": [f"{event.id}-2"]}, **key)
    problem(other, 422, "idempotency-key-reused")


@pytest.mark.parametrize(
    "change",
    [
        {"ids": []},
        {"ids": ["{event}-1", "{event}-1"]},
        {"ids": ["k3v9x2m7qa-1"]},
        {"ids": ["{event}-x"]},
        {"reason": " "},
        {"reason": "x" * 101},
        {"reason": "a\nb"},
        {"UUID": "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"},
    ],
)
def test_what_cannot_be_is_refused(client: testing.TestClient, event: Event, change: dict[str, Any]) -> None:
    """And names the member."""
    if "ids" in change:
        change = {"ids": [text.format(event=event.id) for text in change["ids"]]}
    refused = post(client, f"/events/{event.id}/block", {"ids": [f"{event.id}-1"], **change})
    problem(refused, 422, "invalid-request")
    (wrong,) = refused.json["errors"]
    assert next(iter(change)) in wrong["field"] + wrong["message"]


def test_seats_that_are_not_there_are_not_found(client: testing.TestClient, event: Event) -> None:
    """Nor events."""
    beyond = {"ids": [f"{event.id}-{event.total_seats + 1}"]}
    problem(post(client, f"/events/{event.id}/block", beyond), 404, "not-found")
    problem(post(client, "/events/k3v9x2m7qa/unblock", {"ids": ["k3v9x2m7qa-1"]}), 404, "not-found")


def test_it_takes_a_scope(secured: testing.TestClient, event: Event, user: str) -> None:
    """That of those who sell the event, who are named in its history then."""
    body = {"ids": [f"{event.id}-1"]}
    for action in ("block", "unblock"):
        path = f"/events/{event.id}/{action}"
        problem(post(secured, path, body), 401, "token-missing")
        problem(post(secured, path, body, **bearer(user)), 403, "scope-missing")
        assert post(secured, path, body, **bearer(user, "events:write")).status_code == 204
    seller = bearer(user, "events:write")
    trail = secured.simulate_get(f"/events/{event.id}/audit?user={user}", headers=seller).json
    assert [entry["cause"] for entry in trail["entries"]] == ["blocked", "unblocked"]
