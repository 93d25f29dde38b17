"""Several seats at once: all or none, whoever asks for what at the same time."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from falcon import testing

from actors.queue import Queue
from actors.sweeper import Sweeper
from reservation import keys
from reservation.codes import Code
from reservation.errors import LimitReached, NotFound, ReservePending, SeatHeld
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services
from tests.conftest import Buyer, changes, wait_for, working
from tests.integration.conftest import is_consistent
from tests.web import post, problem


def group(event: Event, *numbers: int) -> tuple[SeatId, ...]:
    return tuple(SeatId(event.id, number) for number in numbers)


def statuses(store: Store, event: Event) -> str:
    """A letter for each seat."""
    seating = store.events.seat_map(event.id).map
    assert seating is not None
    return seating.seats


def test_overlapping_groups_never_share_out_their_seats(store: Store, event: Event) -> None:
    """Sixty users ask for four of twenty seats each, at the same time: whoever gets one of theirs has all."""
    choices = random.Random(8)  # noqa: S311 - decides who wants what
    wants = [(str(uuid4()), group(event, *choices.sample(range(1, 21), 4)), JobId.new(event.id)) for _ in range(60)]
    for user, seats, job in wants:
        store.seats.accept_hold(seats, user, job)
    with ThreadPoolExecutor(30) as pool:
        codes = list(pool.map(lambda want: store.seats.hold(want[1], want[0], want[2]).code, wants))
    for (user, seats, job), code in zip(wants, codes, strict=True):
        has = {SeatId.parse(seat.id) for seat in store.seats.of_user(event.id, user).holds}
        assert has == (set(seats) if code == Code.HELD else set())
        result = store.jobs.read(job).result
        assert result is not None
        assert (result.conflicts is None) == (code == Code.HELD)
    assert codes.count(Code.HELD) >= 1
    assert statuses(store, event).count("H") == 4 * codes.count(Code.HELD)
    assert is_consistent(store, event)


def test_a_group_is_one_job_with_one_verdict(store: Store, event: Event, buyer: Buyer) -> None:
    """It names all seats in the order asked for, the first one also where a single one stands; each has its change."""
    seats, job = group(event, 5, 3, 4), JobId.new(event.id)
    store.seats.accept_hold(seats, buyer.user, job, "request-1")
    assert store.seats.hold(seats, buyer.user, job, "request-1").code == Code.HELD
    shown = store.jobs.read(job)
    assert (shown.data.seat_id, shown.data.seat_ids) == (f"{event.id}-5", [f"{event.id}-{n}" for n in (5, 3, 4)])
    assert shown.result is not None
    assert shown.result.seats is not None
    assert shown.result.seat == shown.result.seats[0]
    assert [seat.id for seat in shown.result.seats] == shown.data.seat_ids
    assert len({seat.expires_at for seat in shown.result.seats}) == 1
    told = changes(store, event.id)
    assert [(change["seat"], change["job"]) for change in told] == [(n, str(job)) for n in ("5", "3", "4")]
    assert store.seats.hold(seats, buyer.user, job).code == Code.HELD
    assert len(changes(store, event.id)) == 3


def test_what_is_in_the_way_is_listed(store: Store, event: Event, buyer: Buyer, rival: Buyer) -> None:
    """At once, and as the verdict if it came in between. A sold seat counts for more than one that may come free."""
    rival.hold(SeatId(event.id, 2))
    with pytest.raises(SeatHeld) as refused:
        store.seats.accept_hold(group(event, 1, 2, 3), buyer.user, JobId.new(event.id))
    assert refused.value.conflicts == [{"seatId": f"{event.id}-2", "status": "On hold"}]
    assert "2 is on hold" in refused.value.detail

    seats, job = group(event, 3, 4, 5), JobId.new(event.id)
    store.seats.accept_hold(seats, buyer.user, job)
    for number in (3, 5):
        rival.hold(SeatId(event.id, number))
    rival.reserve(SeatId(event.id, 5))
    assert store.seats.hold(seats, buyer.user, job).code == Code.SEAT_RESERVED
    result = store.jobs.read(job).result
    assert result is not None
    assert result.conflicts is not None
    assert [(each.seat_id, each.status) for each in result.conflicts] == [
        (f"{event.id}-3", "On hold"),
        (f"{event.id}-5", "Reserved"),
    ]
    assert store.seats.get(seats[1]).status == "Available"


def test_seats_that_are_held_already_keep_their_end(store: Store, event: Event, buyer: Buyer) -> None:
    """They count once. Of a group that is held whole, nothing changes."""
    buyer.hold(SeatId(event.id, 1))
    first_end = store.seats.get(SeatId(event.id, 1)).expires_at or 0
    wait_for(lambda: store.events.load(event.id).now > first_end - 60_000)
    for code in (Code.HELD, Code.HELD_ALREADY):
        seats, job = group(event, 1, 2), JobId.new(event.id)
        store.seats.accept_hold(seats, buyer.user, job)
        assert store.seats.hold(seats, buyer.user, job).code == code
        result = store.jobs.read(job).result
        assert result is not None
        assert result.seats is not None
        assert result.seats[0].expires_at == first_end
        assert result.seats[1].expires_at == store.seats.get(seats[1]).expires_at != first_end
    assert len(changes(store, event.id)) == 2


def test_a_group_counts_whole_against_the_limit(store: Store, event: Event, buyer: Buyer) -> None:
    """Five and two are seven, of six. More than anybody may hold is not worth trying again."""
    for number in range(1, 6):
        buyer.hold(SeatId(event.id, number))
    with pytest.raises(LimitReached) as refused:
        store.seats.accept_hold(group(event, 6, 7), buyer.user, JobId.new(event.id))
    assert refused.value.fields == {"limit": 6, "held": 5, "requested": 2}
    assert refused.value.retryable
    with pytest.raises(LimitReached) as refused:
        store.seats.accept_hold(group(event, *range(11, 18)), buyer.user, JobId.new(event.id))
    assert not refused.value.retryable

    first, second = JobId.new(event.id), JobId.new(event.id)
    store.seats.release(group(event, 4, 5), buyer.user)
    for job, numbers in ((first, (11, 12, 13)), (second, (14, 15, 16))):
        store.seats.accept_hold(group(event, *numbers), buyer.user, job)
    store.seats.hold(group(event, 11, 12, 13), buyer.user, first)
    assert store.seats.hold(group(event, 14, 15, 16), buyer.user, second).code == Code.LIMIT_REACHED
    result = store.jobs.read(second).result
    assert result is not None
    assert (result.limit, result.held, result.requested) == (6, 6, 3)


def test_a_group_is_reserved_whole_or_not_at_all(store: Store, event: Event, buyer: Buyer) -> None:
    """One of its holds ended before it was accepted: refused, and the others stay held."""
    for number in (1, 2, 3):
        buyer.hold(SeatId(event.id, number))
    seats, job = group(event, 1, 2, 3), JobId.new(event.id)
    store.seats.accept_reserve(seats, buyer.user, job)
    assert store.seats.get(seats[2]).reserving_until == store.seats.get(seats[0]).reserving_until is not None
    assert store.seats.accept_reserve(seats, buyer.user, JobId.new(event.id)).job_id == str(job)
    with pytest.raises(ReservePending) as pending:
        store.seats.accept_reserve([*seats, *_held(store, event, buyer, 4)], buyer.user, JobId.new(event.id))
    assert len(pending.value.conflicts) == 3
    assert store.seats.reserve(seats, buyer.user, job).code == Code.RESERVED
    assert statuses(store, event) == "RRRH" + "A" * 16
    assert len(store.seats.of_user(event.id, buyer.user).reservations) == 3
    assert is_consistent(store, event)


def _held(store: Store, event: Event, buyer: Buyer, number: int) -> tuple[SeatId, ...]:
    buyer.hold(SeatId(event.id, number))
    return group(event, number)


def test_a_group_that_cannot_be_reserved_gives_its_pins_back(store: Store, event: Event, buyer: Buyer) -> None:
    """A verdict against, as when one seat's hold was lost to a failover: the other holds end when they would have."""
    seats, job = (*_held(store, event, buyer, 1), *_held(store, event, buyer, 2)), JobId.new(event.id)
    ends = store.seats.get(seats[1]).expires_at
    store.seats.accept_reserve(seats, buyer.user, job)
    store.client.hset(keys.seat(seats[0]), "UUID", str(uuid4()))
    assert store.seats.reserve(seats, buyer.user, job).code == Code.HOLD_EXPIRED
    left = store.seats.get(seats[1])
    assert (left.status, left.expires_at, left.reserving_until) == ("On hold", ends, None)
    assert store.client.zscore(keys.holds(event.id), str(seats[1])) == ends


def test_a_failed_group_gives_all_its_pins_back(store: Store, event: Event, buyer: Buyer) -> None:
    """As one that was given up."""
    seats, job = (*_held(store, event, buyer, 1), *_held(store, event, buyer, 2)), JobId.new(event.id)
    store.seats.accept_reserve(seats, buyer.user, job)
    store.seats.fail(seats, buyer.user, job, Code.INTERNAL_ERROR)
    assert [store.seats.get(seat).reserving_until for seat in seats] == [None, None]
    store.seats.refresh(seats, buyer.user)
    assert is_consistent(store, event)


def test_a_group_with_a_seat_that_is_not_there(store: Store, event: Event, user: str) -> None:
    """There is nothing to hold."""
    with pytest.raises(NotFound):
        store.seats.accept_hold(group(event, 20, 21), user, JobId.new(event.id))
    assert not store.client.exists(keys.jobs(event.id))


def test_a_job_is_about_the_seats_that_the_ledger_says(store: Store, event: Event, user: str) -> None:
    """A message that says otherwise changes nothing."""
    job = JobId.new(event.id)
    store.seats.accept_hold(group(event, 1, 2), user, job)
    for other in (group(event, 1), group(event, 2, 1), group(event, 1, 2, 3)):
        assert store.seats.hold(other, user, job).code == Code.JOB_UNKNOWN
    assert statuses(store, event) == "A" * 20


def test_groups_go_through_the_queue(store: Store, queue: Queue, event: Event, user: str) -> None:
    """And what a sweeper finds in the ledger, it can send again."""
    seats, job = group(event, 1, 2, 3), JobId.new(event.id)
    store.seats.accept_hold(seats, user, job)
    (open_job,) = store.jobs.open_jobs(event.id, 0, 10)
    assert open_job.task == Task("HOLD_SEAT", seats, user, "")
    with working(store, queue):
        queue.send_jobs([(job, open_job.task)])
        wait_for(lambda: store.jobs.read(job).ended)
    assert statuses(store, event) == "HHH" + "A" * 17


def test_a_group_that_nobody_carries_out_fails_whole(
    make_settings: Callable[..., Settings], store: Store, queue: Queue, event: Event, buyer: Buyer
) -> None:
    """At its deadline, by the sweeper: each hold ends when it would have."""
    late = Store.connect(make_settings(reserve_job_deadline=0.05), connections=2)
    seats, job = (*_held(store, event, buyer, 1), *_held(store, event, buyer, 2)), JobId.new(event.id)
    late.seats.accept_reserve(seats, buyer.user, job)
    wait_for(lambda: late.jobs.read(job).ended)
    Sweeper(store, queue).sweep()
    assert store.client.hget(keys.job(job), "status") == "failed"
    assert [store.client.hexists(keys.seat(seat), "reservingUntil") for seat in seats] == [False, False]
    late.servers.close()


def test_a_mistake_of_ours_fails_the_whole_group(
    store: Store, queue: Queue, event: Event, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And keeps none of its holds pinned."""

    def broken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(type(store.seats), "reserve", broken)
    seats, job = (*_held(store, event, buyer, 1), *_held(store, event, buyer, 2)), JobId.new(event.id)
    store.seats.accept_reserve(seats, buyer.user, job)
    with working(store, queue):
        queue.send_jobs([(job, store.jobs.task(job))])
        wait_for(lambda: store.jobs.read(job).status == "failed")
    assert [store.seats.get(seat).reserving_until for seat in seats] == [None, None]


# Over HTTP


def test_a_group_over_http(client: testing.TestClient, services: Services, event: Event, user: str, other: str) -> None:
    """Held, refreshed, reserved, cancelled; refused with what is in the way, and again with the same key."""
    ids = [f"{event.id}-{n}" for n in (7, 8)]
    body: dict[str, Any] = {"ids": ids, "UUID": user}

    def end(queued: testing.Result) -> dict[str, Any]:
        assert queued.status_code == 202, queued.text
        path, headers = queued.json["statusEndpoint"], {"X-User-UUID": user}
        wait_for(lambda: client.simulate_get(path).json["status"] == "completed")
        job: dict[str, Any] = client.simulate_get(path, headers=headers).json
        return job

    with working(services.store, services.queue):
        job = end(post(client, "/seats/hold", body))
        assert job["data"] == {"seatId": ids[0], "seatIds": ids, "userUUID": user}
        assert [seat["id"] for seat in job["result"]["seats"]] == ids
        assert job["result"]["seat"] == job["result"]["seats"][0]
        refreshed = post(client, "/seats/refresh", body).json
        assert refreshed["id"] == ids[0]
        assert [seat["id"] for seat in refreshed["seats"]] == ids
        assert "seats" not in post(client, "/seats/refresh", {"id": ids[0], "UUID": user}).json

        theirs, key = {"ids": [f"{event.id}-6", *ids], "UUID": other}, {"Idempotency-Key": "one"}
        refused = [problem(post(client, "/seats/hold", theirs, **key), 409, "seat-held") for _ in range(2)]
        assert refused[0]["conflicts"] == [{"seatId": seat, "status": "On hold"} for seat in ids]
        assert refused[0]["conflicts"] == refused[1]["conflicts"]
        assert refused[0]["currentStatus"] == refused[1]["currentStatus"] == "On hold"

        assert end(post(client, "/seats/reserve", body))["result"]["success"]
        assert post(client, "/seats/cancel", body).status_code == 204
        listed = client.simulate_get(f"/seats/list/{event.id}").json
        assert listed["total"] == 20


@pytest.mark.parametrize(
    ("seats", "message"),
    [
        ({}, "either id or ids"),
        ({"id": "{E}-1", "ids": ["{E}-1", "{E}-2"]}, "either id or ids"),
        ({"ids": []}, "at least 2"),
        ({"ids": ["{E}-1"]}, "at least 2"),
        ({"ids": ["{E}-1", "{E}-1"]}, "named twice"),
        ({"ids": ["{E}-1", "aaaaaaaaaa-1"]}, "several events"),
        ({"ids": ["{E}-1", "{E}-0"]}, "seat id"),
        ({"ids": [f"{{E}}-{n}" for n in range(1, 52)]}, "at most 50"),
        ({"ids": "{E}-1"}, "valid list"),
        ({"ids": None, "id": "{E}-1"}, "valid list"),
    ],
)
def test_what_is_no_group(
    client: testing.TestClient, event: Event, user: str, seats: dict[str, Any], message: str
) -> None:
    """422, which says why."""

    def filled(value: Any) -> Any:
        return [filled(each) for each in value] if isinstance(value, list) else value and value.replace("{E}", event.id)

    body = {name: filled(value) for name, value in seats.items()} | {"UUID": user}
    for path in ("hold", "refresh", "release", "reserve", "cancel"):
        errors = problem(post(client, f"/seats/{path}", body), 422, "invalid-request")["errors"]
        assert any(message in error["message"] for error in errors), errors


def test_a_group_of_fifty_where_as_many_may_be_held(
    make_settings: Callable[..., Settings], store: Store, user: str
) -> None:
    """The most there is: one call, and each seat after the other in the history."""
    large = Store.connect(make_settings(max_held_seats=50), connections=2)
    event = large.events.create("Opening night", 60)
    seats, job = group(event, *range(1, 51)), JobId.new(event.id)
    large.seats.accept_hold(seats, user, job)
    assert large.seats.hold(seats, user, job).code == Code.HELD
    numbers = [int(change["seat"]) for change in changes(large, event.id)]
    assert all(one + 1 == other for one, other in pairwise(numbers))
    assert len(numbers) == 50
    large.servers.close()
