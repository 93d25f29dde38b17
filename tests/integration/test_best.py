"""Best available: whole groups, in seats that nobody else has, whoever else wants them."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from falcon import testing

from actors.queue import Queue
from reservation import keys
from reservation.codes import Code
from reservation.errors import LimitReached, NotSeated, PickAgain
from reservation.fields import Adjacent
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.models import Event, JobResult, WaitingRoom
from reservation.requests import Group, NewEvent
from reservation.retries import retry
from reservation.seats import Verdict
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import changes, wait_for, working
from tests.integration.conftest import is_consistent
from tests.web import bearer, post, problem


def group(event: Event, quantity: int, adjacent: Adjacent = "preferred") -> Group:
    return Group.model_validate({"eventId": event.id, "quantity": quantity, "adjacent": adjacent})


class Party:
    """Somebody who wants seats together, and does what a client and a worker do."""

    def __init__(self, store: Store, event: Event, user: str = "") -> None:
        self.store = store
        self.event = event
        self.user = user or str(uuid4())

    def accept(self, quantity: int, adjacent: Adjacent = "preferred") -> tuple[JobId, tuple[SeatId, ...]]:
        job = JobId.new(self.event.id)
        accepted, seats = self.store.best.accept(group(self.event, quantity, adjacent), self.user, job)
        assert accepted.job_id == str(job)
        return job, seats

    def hold(self, job: JobId, seats: tuple[SeatId, ...]) -> Verdict:
        return self.store.best.hold(seats, self.user, job)

    def get(self, quantity: int, adjacent: Adjacent = "preferred") -> list[int]:
        job, seats = self.accept(quantity, adjacent)
        assert self.hold(job, seats).code == Code.HELD
        return numbers(self.result(job))

    def result(self, job: JobId) -> JobResult:
        result = self.store.jobs.read(job).result
        assert result is not None
        return result


def numbers(result: JobResult) -> list[int]:
    assert result.seats is not None
    return [SeatId.parse(seat.id).number for seat in result.seats]


@pytest.fixture
def party(store: Store, event: Event) -> Party:
    return Party(store, event)


def take(store: Store, *seats: SeatId) -> str:
    """Somebody holds seats, asked for by their numbers. Who."""
    user, job = str(uuid4()), JobId.new(seats[0].event)
    store.seats.accept_hold(seats, user, job)
    assert store.seats.hold(seats, user, job).code == Code.HELD
    return user


def test_the_best_seats_are_held_for_a_group(client: testing.TestClient, store: Store, queue: Queue) -> None:
    """By a job as any hold's, which says what it tried first and what it got."""
    event = store.events.create("Opening night", 20)
    user = str(uuid4())
    queued = post(client, "/seats/best-available", {"eventId": event.id, "quantity": 3, "UUID": user})
    assert queued.status_code == 202
    assert queued.headers["location"] == queued.json["statusEndpoint"]
    with working(store, queue):
        wait_for(lambda: store.jobs.read(JobId.parse(queued.json["jobId"])).ended)
    job = client.simulate_get(queued.json["statusEndpoint"], headers={"X-User-UUID": user}).json
    # Rows of 7: 1 to 7, and so on.
    wanted = [f"{event.id}-{n}" for n in (3, 4, 5)]
    assert job["type"] == "HOLD_SEAT"
    assert job["data"] == {
        "seatId": wanted[0],
        "seatIds": wanted,
        "userUUID": user,
        "quantity": 3,
        "adjacent": "preferred",
    }
    assert job["result"]["success"]
    assert [seat["id"] for seat in job["result"]["seats"]] == wanted
    assert {seat["UUID"] for seat in job["result"]["seats"]} == {user}
    assert [store.seats.get(SeatId.parse(seat)).user for seat in wanted] == [user] * 3


def test_the_layout_says_which_are_best(store: Store) -> None:
    """The section's rank before anything else."""
    rows = [{"seats": 5, "count": 2}]
    sections = [{"name": "Circle", "rank": 2, "rows": rows}, {"name": "Stalls", "rank": 1, "rows": rows}]
    new = NewEvent.model_validate({"name": "Opening night", "layout": {"sections": sections}})
    event = store.events.create(new.name, new.seats, layout=new.layout)
    assert Party(store, event).get(3) == [11, 12, 13]


def test_what_cannot_be_is_refused_at_once(client: testing.TestClient, event: Event) -> None:
    """With what is wrong."""
    body: dict[str, Any] = {"eventId": event.id, "quantity": 2, "UUID": str(uuid4())}
    for change, status, slug in (
        ({"eventId": "k3v9x2m7qa"}, 404, "not-found"),
        ({"eventId": "x"}, 422, "invalid-request"),
        ({"quantity": 0}, 422, "invalid-request"),
        ({"quantity": 51}, 422, "invalid-request"),
        ({"quantity": "2"}, 422, "invalid-request"),
        ({"adjacent": "maybe"}, 422, "invalid-request"),
        ({"UUID": "x"}, 422, "invalid-request"),
        ({"id": f"{event.id}-1"}, 422, "invalid-request"),
    ):
        problem(post(client, "/seats/best-available", {**body, **change}), status, slug)
    del body["UUID"]
    assert problem(post(client, "/seats/best-available", body), 422, "invalid-request")["errors"][0]["field"] == "UUID"


def test_a_token_says_for_whom(secured: testing.TestClient, event: Event) -> None:
    """And is needed where tokens are."""
    body = {"eventId": event.id, "quantity": 2}
    problem(post(secured, "/seats/best-available", body), 401, "token-missing")
    problem(
        post(secured, "/seats/best-available", {**body, "UUID": str(uuid4())}, **bearer(str(uuid4()))),
        403,
        "user-mismatch",
    )
    assert post(secured, "/seats/best-available", body, **bearer(str(uuid4()))).status_code == 202


def test_an_event_is_entered_as_for_any_hold(client: testing.TestClient, store: Store) -> None:
    """Not before it opens, and through its waiting room."""
    now = store.events.load("k3v9x2m7qa").now
    later = store.events.create("Opening night", 20, opens_at=now + 60_000)
    room = WaitingRoom(admit_per_minute=60, admission_ttl=600)
    crowded = store.events.create("Opening night", 20, room=room)
    body = {"quantity": 2, "UUID": str(uuid4())}
    problem(post(client, "/seats/best-available", {**body, "eventId": later.id}), 409, "sales-not-open")
    problem(post(client, "/seats/best-available", {**body, "eventId": crowded.id}), 403, "admission-required")
    ticket = post(client, f"/events/{crowded.id}/queue", {"UUID": body["UUID"]})
    admitted = client.simulate_get(ticket.json["statusEndpoint"]).json["admission"]
    let_in = post(client, "/seats/best-available", {**body, "eventId": crowded.id}, Admission=admitted)
    assert let_in.status_code == 202


def test_a_group_that_cannot_be_seated_is_told_what_is_left(client: testing.TestClient, store: Store) -> None:
    """The most that are next to one another, and how many there are in all."""
    event = store.events.create("Opening night", 10)  # rows of 5
    take(store, *(SeatId(event.id, n) for n in (3, 8)))
    take(store, *(SeatId(event.id, n) for n in (6, 9)))
    body = {"eventId": event.id, "quantity": 3, "adjacent": "required", "UUID": str(uuid4())}
    refused = problem(post(client, "/seats/best-available", body), 409, "no-seats-together")
    assert (refused["largestBlock"], refused["free"], refused["retryable"]) == (2, 6, True)
    for adjacent in ("required", "preferred"):
        refused = problem(
            post(client, "/seats/best-available", {**body, "quantity": 7, "adjacent": adjacent}), 409, "too-few-seats"
        )
        assert (refused["largestBlock"], refused["free"]) == (2, 6)


def test_the_limit_counts_for_the_whole_group(store: Store, party: Party) -> None:
    """None is had if not all of them may be; and what was picked is there for others at once."""
    party.get(4)
    with pytest.raises(LimitReached) as error:
        party.accept(3)
    assert (error.value.held, error.value.requested) == (4, 3)
    assert Party(store, party.event).get(3) == [5, 6, 7]


def test_where_others_were_faster_other_seats_are_held(store: Store, party: Party) -> None:
    """The job keeps what it tried first, and says what it got."""
    job, first = party.accept(2)
    take(store, first[0])
    assert party.hold(job, first).code == Code.HELD
    got = numbers(party.result(job))
    assert len(got) == 2
    assert first[0].number not in got
    assert store.jobs.read(job).data.seat_ids == [str(seat) for seat in first]
    assert {seat.id for seat in store.seats.of_user(party.event.id, party.user).holds} == {
        f"{party.event.id}-{n}" for n in got
    }
    assert is_consistent(store, party.event)


def test_nothing_is_held_while_not_all_can_be(store: Store, party: Party) -> None:
    """The script changes nothing and leaves the job open."""
    job, first = party.accept(3)
    take(store, first[2])
    before = len(changes(store, party.event.id))
    verdict = store.seats.hold(first, party.user, job)
    assert (verdict.code, verdict.waited_ms, verdict.adjacent) == (Code.PICK_AGAIN, None, "preferred")
    assert len(changes(store, party.event.id)) == before
    assert not store.jobs.read(job).ended
    assert store.events.load(party.event.id).open_jobs == 1


def test_a_job_ends_when_nothing_is_left(store: Store, party: Party) -> None:
    """With a verdict that says what is."""
    job, first = party.accept(3, "required")
    other, second = Party(store, party.event).accept(2)
    free = [n for n in range(1, 21) if n not in (1, 7, 20)]
    for number in free:
        take(store, SeatId(party.event.id, number))
    assert party.hold(job, first).code == Code.NO_SEATS_TOGETHER
    result = party.result(job)
    assert (result.success, result.error, result.largest_block, result.free) == (False, "no-seats-together", 1, 3)
    take(store, SeatId(party.event.id, 1), SeatId(party.event.id, 7))
    assert store.best.hold(second, "somebody else", other).code == Code.JOB_UNKNOWN
    assert store.events.load(party.event.id).open_jobs == 1


def test_a_job_that_is_run_again_holds_once(store: Store, party: Party) -> None:
    """Whatever seats it is run with, and though those of its message are free again."""
    job, first = party.accept(2)
    rival = take(store, first[0])
    assert party.hold(job, first).code == Code.HELD
    got = numbers(party.result(job))
    store.seats.release(first[0], rival)
    for seats in (
        first,
        tuple(SeatId(party.event.id, n) for n in got),
        (SeatId(party.event.id, 1), SeatId(party.event.id, 2)),
    ):
        again = party.hold(job, seats)
        assert (again.code, again.waited_ms) == (Code.HELD, None)
    assert len(store.seats.of_user(party.event.id, party.user).holds) == 2
    assert numbers(party.result(job)) == got


def test_a_job_is_about_as_many_seats_as_were_asked_for(store: Store, party: Party) -> None:
    """And for nobody else."""
    job, first = party.accept(2)
    assert store.seats.hold(first[:1], party.user, job).code == Code.JOB_UNKNOWN
    assert store.seats.hold((*first, SeatId(party.event.id, 20)), party.user, job).code == Code.JOB_UNKNOWN
    assert store.seats.hold(first, str(uuid4()), job).code == Code.JOB_UNKNOWN
    named, buyer = JobId.new(party.event.id), str(uuid4())
    store.seats.accept_hold(SeatId(party.event.id, 1), buyer, named)
    assert store.seats.hold(SeatId(party.event.id, 2), buyer, named).code == Code.JOB_UNKNOWN


def test_two_requests_of_one_user_are_two_groups(store: Store, party: Party) -> None:
    """A seat that the user holds already is none of those to be got."""
    job, first = party.accept(2)
    again = JobId.new(party.event.id)
    store.seats.accept_hold(first, party.user, again, adjacent="preferred", gone=True)
    assert party.hold(job, first).code == party.hold(again, first).code == Code.HELD
    assert len({*numbers(party.result(job)), *numbers(party.result(again))}) == 4


def test_requests_at_once_do_not_go_for_the_same_seats(
    make_settings: Callable[..., Settings], store: Store, event: Event
) -> None:
    """Though none of them is on hold yet: not of one process, nor of several, each of which goes by what it knows."""
    others = [store, *(Store.connect(make_settings(), connections=4) for _ in range(2))]
    for other in others:
        other.best._look(event.id, anew=True)
    picked = [number for n in range(6) for number in Party(others[n % 3], event).accept(3)[1]]
    assert len(set(picked)) == 18
    assert set(store.client.zrange(keys.picked(event.id), 0, -1)) == {str(seat.number) for seat in picked}
    for other in others[1:]:
        other.servers.close()


def test_what_a_job_has_picked_may_be_held_by_others(store: Store, party: Party) -> None:
    """It is left alone by other such jobs only, as long as there are other seats, and until the job has its verdict."""
    event = party.event
    job, first = party.accept(5)
    assert take(store, first[0])
    others = [Party(store, event).accept(5) for _ in range(3)]
    _, seats = Party(store, event).accept(4)  # nothing else is left: who comes first has them
    assert {seat.number for seat in seats} & {seat.number for _, each in [(job, first), *others] for seat in each}
    assert party.hold(job, first).code == Code.HELD
    assert not {str(seat.number) for seat in first} & set(store.client.zrange(keys.picked(event.id), 0, -1))
    assert store.events.load(event.id).open_jobs == 4


def test_a_hold_that_is_over_is_free_at_once(brief: Store, event: Event) -> None:
    """Though nobody has freed it, and this process has read that it is on hold."""
    job, user = JobId.new(event.id), str(uuid4())
    for first in range(1, 21, 5):
        seats, job, user = [SeatId(event.id, first + n) for n in range(5)], JobId.new(event.id), str(uuid4())
        brief.seats.accept_hold(seats, user, job)
        brief.seats.hold(seats, user, job)
    party = Party(brief, event)
    with pytest.raises(NotSeated):
        party.accept(2)
    wait_for(lambda: brief.seats.get(seats[-1]).status == "Available")
    assert party.get(2) == [3, 4]


def test_a_seat_that_comes_free_is_the_best_again(store: Store, party: Party) -> None:
    """At once, though the process knows the others: released, and cancelled."""
    (best,) = party.get(1)
    seat = SeatId(party.event.id, best)
    store.seats.release(seat, party.user)
    _forget_picks(store)
    assert party.get(1) == [best]
    job = JobId.new(party.event.id)
    store.seats.accept_reserve(seat, party.user, job)
    store.seats.reserve(seat, party.user, job)
    assert party.get(1) != [best]
    store.seats.cancel(seat, party.user, party.user)
    _forget_picks(store)
    assert party.get(1) == [best]


def _forget_picks(store: Store) -> None:
    """A process leaves alone for a second what it has picked."""
    store.best._picked.clear()


def test_what_a_process_has_wrong_costs_tries_and_no_more(store: Store) -> None:
    """As after a failover that has lost changes, and others have taken their numbers: soon it reads all seats."""
    event = store.events.create("Opening night", 500)
    known = store.best._look(event.id, anew=True)
    for first in range(1, 241, 6):
        take(store, *(SeatId(event.id, first + n) for n in range(6)))
    store.best._known[event.id] = known._replace(sequence=240)
    _, seats = Party(store, event).accept(4)
    assert min(seat.number for seat in seats) > 240


def test_a_pick_leaves_alone_what_is_picked(make_settings: Callable[..., Settings], store: Store, event: Event) -> None:
    """By this process just now, or by an open job; and where it comes at once, the script says so."""
    other = Store.connect(make_settings(), connections=4)
    _, seats = Party(store, event).accept(2)
    picks = [each.best._pick(event.id, 2, "preferred", 0).seats for each in (other, store, store)]
    assert not set(picks[0]) & set(seats)
    assert not set(picks[1]) & set(picks[2])
    other.servers.close()
    late = JobId.new(event.id)
    with pytest.raises(PickAgain):
        store.seats.accept_hold((seats[1], SeatId(event.id, 20)), str(uuid4()), late, adjacent="preferred")
    assert store.events.load(event.id).open_jobs == 1
    store.seats.accept_hold((seats[1], SeatId(event.id, 20)), str(uuid4()), late, adjacent="preferred", gone=True)
    assert store.events.load(event.id).open_jobs == 2


def test_a_request_that_is_sent_again_is_one(client: testing.TestClient, store: Store, event: Event) -> None:
    """With its key it is the same job, though all seats are gone by then; and so is a refusal, though some are back."""
    body = {"eventId": event.id, "quantity": 2, "UUID": str(uuid4())}
    key = {"Idempotency-Key": "one"}
    first = post(client, "/seats/best-available", body, **key)
    assert first.status_code == 202
    takers = [(take(store, SeatId(event.id, n)), n) for n in range(1, 21)]
    again = post(client, "/seats/best-available", body, **key)
    assert (again.status_code, again.json["jobId"]) == (202, first.json["jobId"])
    assert again.headers["idempotency-replayed"] == "true"
    problem(post(client, "/seats/best-available", {**body, "quantity": 3}, **key), 422, "idempotency-key-reused")
    assert store.events.load(event.id).open_jobs == 1

    other = {"Idempotency-Key": "two"}
    refused = problem(post(client, "/seats/best-available", body, **other), 409, "too-few-seats")
    assert refused["free"] == 0
    for user, number in takers[:4]:
        store.seats.release(SeatId(event.id, number), user)
    again = post(client, "/seats/best-available", body, **other)
    assert problem(again, 409, "too-few-seats")["free"] == 0
    assert again.headers["idempotency-replayed"] == "true"
    assert post(client, "/seats/best-available", body).status_code == 202


def test_a_failed_job_is_repeated_as_what_it_was(store: Store, party: Party) -> None:
    """For so many of the best seats, whether its first choice is still there or not."""
    job, first = party.accept(2)
    store.seats.fail(first, party.user, job, Code.INTERNAL_ERROR)
    take(store, first[0])
    again = retry(store, job)
    assert (again.new, again.task.adjacent) == (True, "preferred")
    assert party.hold(again.job_id, again.task.seats).code == Code.HELD
    assert len(numbers(party.result(again.job_id))) == 2


def test_groups_compete_until_the_event_is_sold_out(
    make_settings: Callable[..., Settings], store: Store, queue: Queue
) -> None:
    """With real workers, some messages sent twice, and buyers of several processes at once: every group has all its
    seats or none, no seat has two holders, and in the end none is left."""
    event = store.events.create("Opening night", 300)
    apis = [Store.connect(make_settings(), connections=8) for _ in range(3)]
    accepted: list[tuple[str, int, JobId]] = []
    chance = random.Random(8)  # noqa: S311 - the same each time

    def buy(api: Store, sizes: list[int]) -> None:
        for size in sizes:
            user, job = str(uuid4()), JobId.new(event.id)
            try:
                _, seats = api.best.accept(group(event, size, chance.choice(["required", "preferred"])), user, job)
            except NotSeated:
                continue
            accepted.append((user, size, job))
            queue.send_jobs([(job, Task("HOLD_SEAT", seats, user, ""))] * chance.choice([1, 1, 2]))
            wait_for(lambda job=job: store.jobs.read(job).ended)  # type: ignore[misc]  # mypy takes it for another

    sizes = [[chance.randint(1, 6) for _ in range(12)] + [1] * 12 for _ in range(12)]
    with working(store, queue):
        buyers = [threading.Thread(target=buy, args=(apis[n % 3], sizes[n])) for n in range(12)]
        for buyer in buyers:
            buyer.start()
        for buyer in buyers:
            buyer.join()
    for api in apis:
        api.servers.close()

    owners = {n: store.seats.get(SeatId(event.id, n)).user for n in range(1, 301)}
    held = Counter(user for user in owners.values() if user)
    got = 0
    for user, size, job in accepted:
        result = store.jobs.read(job).result
        assert result is not None
        if result.success:
            assert [owners[n] for n in numbers(result)] == [user] * size
            assert held.pop(user) == size
            got += size
        else:
            assert result.error in ("no-seats-together", "too-few-seats")
            assert user not in held
    assert not held, "somebody has what no job says"
    assert got == 300, "seats are left, though somebody was told that there are none"
    assert len(changes(store, event.id)) == 300
    assert is_consistent(store, event)
