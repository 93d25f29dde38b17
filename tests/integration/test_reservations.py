"""A reservation has an id, and carries what the client calls it."""

from typing import Any

import pytest
from falcon import testing

from actors.queue import Queue
from reservation import keys
from reservation.codes import Code
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.retries import retry
from reservation.store import Store
from reservation_http.app import Services
from tests.conftest import Buyer, changes, wait_for, working
from tests.web import post, problem


def test_seats_that_were_reserved_together_have_one_reservation(store: Store, event: Event, buyer: Buyer) -> None:
    """Its id is that of the job, by which the history tells of it too."""
    seats, job = (SeatId(event.id, 1), SeatId(event.id, 2)), JobId.new(event.id)
    for seat in seats:
        buyer.hold(seat)
    store.seats.accept_reserve(seats, buyer.user, job, reference="order 7")
    store.seats.reserve(seats, buyer.user, job)
    for seat in seats:
        shown = store.seats.get(seat)
        assert (shown.reservation_id, shown.reference) == (str(job), "order 7")
    own = store.seats.of_user(event.id, buyer.user)
    assert {(seat.reservation_id, seat.reference) for seat in own.reservations} == {(str(job), "order 7")}
    assert [change["job"] for change in changes(store, event.id)[-2:]] == [str(job)] * 2
    assert store.jobs.read(job).data.reference == "order 7"


def test_the_first_reference_stands(store: Store, event: Event, buyer: Buyer) -> None:
    """Asked again while it is under way, or once it is done, nothing changes."""
    seat, first = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, first, reference="one")
    assert store.seats.accept_reserve(seat, buyer.user, JobId.new(event.id), reference="two").job_id == str(first)
    store.seats.reserve(seat, buyer.user, first)
    again = JobId.new(event.id)
    store.seats.accept_reserve(seat, buyer.user, again, reference="two")
    assert store.seats.reserve(seat, buyer.user, again).code == Code.RESERVED_ALREADY
    assert store.seats.get(seat).reference == "one"


def test_what_an_older_version_reserved_has_no_id(store: Store, event: Event, buyer: Buyer) -> None:
    """It can be read and cancelled all the same."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    buyer.reserve(seat)
    store.client.hdel(keys.seat(seat), "reservation")
    assert store.seats.get(seat).reservation_id is None
    assert store.seats.of_user(event.id, buyer.user).reservations == [store.seats.get(seat)]
    store.seats.cancel(seat, buyer.user, buyer.user)


def test_a_repeated_job_keeps_the_reference(store: Store, queue: Queue, event: Event, buyer: Buyer) -> None:
    """An operator who has a failed one repeated need not know it."""
    seat, failed = SeatId(event.id, 1), JobId.new(event.id)
    buyer.hold(seat)
    store.seats.accept_reserve(seat, buyer.user, failed, reference="order 7")
    store.seats.fail(seat, buyer.user, failed, Code.INTERNAL_ERROR)
    again = retry(store, failed)
    store.seats.reserve(again.task.seats, buyer.user, again.job_id)
    assert store.seats.get(seat).reference == "order 7"


def test_it_is_told_to_its_user_only(
    client: testing.TestClient, services: Services, event: Event, user: str, other: str
) -> None:
    """Like the UUID, wherever it is shown."""
    seat, key = f"{event.id}-1", {"Idempotency-Key": "one"}
    body: dict[str, Any] = {"id": seat, "UUID": user}

    def end(queued: testing.Result) -> None:
        wait_for(lambda: client.simulate_get(queued.json["statusEndpoint"]).json["status"] == "completed")

    with working(services.store, services.queue):
        end(post(client, "/seats/hold", body))
        queued = post(client, "/seats/reserve", {**body, "reference": "order 7"}, **key)
        end(queued)
    problem(post(client, "/seats/reserve", {**body, "reference": "order 8"}, **key), 422, "idempotency-key-reused")

    named = {"reservationId": queued.json["jobId"], "reference": "order 7"}
    for path in (f"/seats/get/{seat}", queued.json["statusEndpoint"], f"/events/{event.id}/holds"):
        mine = client.simulate_get(path, headers={"X-User-UUID": user}).text
        assert all(value in mine for value in named.values()), path
        theirs = client.simulate_get(path, headers={"X-User-UUID": other}).text
        assert "order 7" not in theirs
        assert "reservationId" not in theirs


@pytest.mark.parametrize("reference", ["", " x", "x ", "a  b", "a\nb", "é", "x" * 101, 7, None])
def test_what_is_no_reference(client: testing.TestClient, event: Event, user: str, reference: object) -> None:
    """422. It is text that can stand anywhere as it is."""
    body = {"id": f"{event.id}-1", "UUID": user, "reference": reference}
    errors = problem(post(client, "/seats/reserve", body), 422, "invalid-request")["errors"]
    assert errors[0]["field"] == "reference"
