"""VIP jobs, and jobs for later: what is carried out when, and that nothing is lost or done too early."""

from collections.abc import Callable
from functools import partial
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from falcon import testing

from actors.lanes import VIP, VIP_IN_A_ROW
from actors.queue import Queue
from actors.rounds import RoundWorker
from actors.sweeper import Sweeper
from reservation import keys
from reservation.codes import Code
from reservation.errors import DelayTooLong, QueueFull
from reservation.fleet import Lag
from reservation.ids import JobId, SeatId
from reservation.jobs import OpenJob, Task
from reservation.models import Event, WaitingRoom
from reservation.overview import Overview
from reservation.requests import Group
from reservation.seats import Turn
from reservation.settings import Settings
from reservation.store import Store
from reservation_cli.jobs import Wanted, find, print_list
from tests.conftest import Buyer, changes, wait_for, working
from tests.web import bearer, post, problem

MINUTE_MS = 60_000


def now_ms(store: Store, event: Event) -> int:
    return store.events.load(event.id).now


def accept(store: Store, seat: SeatId, user: str = "", *, vip: bool = False, in_ms: int = 0) -> JobId:
    """A hold that is to be carried out as VIP, or in so many ms."""
    job = JobId.new(seat.event)
    turn = Turn(vip, store.events.load(seat.event).now + in_ms if in_ms else 0)
    store.seats.accept_hold(seat, user or str(uuid4()), job, turn=turn)
    return job


def come_due(store: Store, *jobs: JobId) -> None:
    """Lets the time of jobs for later have come, just now."""
    for job in jobs:
        fields = store.jobs.entry(job)
        left_ms = int(fields["notBefore"]) - store.events.load(job.event).now
        for name in ("notBefore", "deadline", "sentAt"):
            store.client.hset(keys.job(job), name, int(fields[name]) - left_ms)
        store.client.zincrby(keys.jobs(job.event), -left_ms, str(job))


def wish(seat: SeatId, user: str, **more: object) -> dict[str, object]:
    return {"id": str(seat), "UUID": user, **more}


# Who is next


def test_of_a_backlog_each_lane_gets_its_share(store: Store, queue: Queue) -> None:
    """Of any five jobs that a worker begins while both wait, one is a standard one; in each lane, as they came. Of VIP
    jobs it has more in hand, so that they do wait."""
    event = store.events.create("Opening night", 600)
    jobs = {seat: accept(store, SeatId(event.id, seat), vip=seat > 200) for seat in range(1, 601)}
    assert queue.send_jobs([(job, store.jobs.task(job)) for job in jobs.values()])
    assert (queue.depth(), queue.depth(vip=True)) == (600, 400)
    worker = RoundWorker(queue.broker, 0, idle_ms=100)
    worker.start()
    wait_for(lambda: worker.work_queue.qsize() == 600)
    worker._add_worker()
    wait_for(lambda: store.events.load(event.id).open_jobs == 0)
    worker.stop()
    order = [int(change["seat"]) for change in changes(store, event.id)]
    vips, others = iter(range(201, 601)), iter(range(1, 201))
    expected = [next(others if place % 5 == VIP_IN_A_ROW else vips) for place in range(500)]
    assert order == [*expected, *others]


def test_a_place_is_counted_by_turns(store: Store, event: Event) -> None:
    """Of the job itself as it was accepted, and when it is read: with four VIP jobs before each standard one."""
    place = {}
    for seat in range(1, 15):
        vip, job = seat > 4, JobId.new(event.id)
        turn = Turn(vip)
        place[job] = store.seats.accept_hold(SeatId(event.id, seat), str(uuid4()), job, turn=turn).rank
    # Four standard ones, then ten VIP jobs: v v v v s v v v v s v v s s
    assert list(place.values()) == [0, 1, 2, 3, 0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert [store.jobs.read(job).position for job in place] == [4, 9, 12, 13, 0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    later = accept(store, SeatId(event.id, 20), in_ms=MINUTE_MS)
    assert store.jobs.read(later).position == 14


def test_a_vip_jobs_estimate_is_of_its_own_lane(
    client: testing.TestClient, store: Store, event: Event, user: str
) -> None:
    """However long the others wait for a worker."""
    store.fleet.beat(keys.WORKERS, "a worker", Lag(20_000, 1_500))
    vip = post(client, "/seats/hold", wish(SeatId(event.id, 1), user, priority="vip"))
    assert (vip.status_code, vip.json["position"], vip.json["estimatedWaitTime"]) == (202, 0, 2)
    assert post(client, "/seats/hold", wish(SeatId(event.id, 2), user)).json["estimatedWaitTime"] == 20
    status = client.simulate_get(vip.json["statusEndpoint"]).json
    assert (status["priority"], status["estimatedWaitTime"]) == ("vip", 2)
    assert "notBefore" not in status


def test_workers_tell_how_long_each_lane_waits(store: Store, queue: Queue, event: Event) -> None:
    """From the messages that they get."""
    job, vip = accept(store, SeatId(event.id, 1)), accept(store, SeatId(event.id, 2), vip=True)
    queue.send_jobs([(job, store.jobs.task(job))])
    sent = queue.broker.now_ms()
    wait_for(lambda: queue.broker.now_ms() > sent + 500)
    queue.send_jobs([(vip, store.jobs.task(vip))])
    with working(store, queue):
        wait_for(lambda: store.client.exists(*keys.QUEUE_LAGS) == 2)
    assert store.fleet.load().lag_ms >= 500
    assert store.fleet.load().vip_lag_ms < 500


def test_a_lost_vip_job_is_sent_again_as_one(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At twice the time that VIP jobs wait, whatever the others do."""
    monkeypatch.setattr("actors.sweeper._RESEND_MS", 0)
    store.fleet.beat(keys.WORKERS, "a worker", Lag(20_000, 0))
    accept(store, SeatId(event.id, 1))
    accept(store, SeatId(event.id, 2), vip=True)
    Sweeper(store, queue).sweep()
    assert (queue.depth(), queue.depth(vip=True)) == (1, 1)


def test_each_shard_has_a_lane_for_vip_jobs(make_settings: Callable[..., Settings], store: Store, event: Event) -> None:
    """An event's are in the queue beside its own; where that is gone, in another such."""
    queue = Queue.connect(make_settings(queue_shards=3), store, connections=2)
    seats = (SeatId(event.id, 1),)
    names = [
        queue._message(JobId.new(event.id), Task("HOLD_SEAT", seats, str(uuid4()), "", vip=vip)).queue_name
        for vip in (False, True)
    ]
    assert names == [names[0], names[0] + VIP]
    after = [names[1]]
    for _ in range(3):
        after.append(queue._after(after[-1]))
    assert after[0] == after[3]
    assert {*after} == {shard + VIP for shard in queue.shards}


def test_a_vip_job_takes_a_scope(secured: testing.TestClient, event: Event, user: str) -> None:
    """Where tokens say who asks; whatever else they allow."""
    seat = {"id": f"{event.id}-1", "priority": "vip"}
    best = {"eventId": event.id, "quantity": 2, "priority": "vip"}
    for path, body in (("/seats/hold", seat), ("/seats/reserve", seat), ("/seats/best-available", best)):
        refused = post(secured, path, body, **bearer(user, "events:write", "seats:read"))
        assert problem(refused, 403, "scope-missing")["scope"] == "seats:vip"
    assert post(secured, "/seats/hold", seat, **bearer(user, "seats:vip")).status_code == 202
    assert post(secured, "/seats/best-available", best, **bearer(user, "seats:vip")).status_code == 202
    assert post(secured, "/seats/hold", {**seat, "priority": "standard"}, **bearer(user)).status_code == 202


@pytest.mark.parametrize(
    "more",
    [{"priority": "first"}, {"priority": None}, {"notBefore": None}, {"notBefore": "soon"}, {"notBefore": -1}],
)
def test_what_is_no_turn_is_refused(client: testing.TestClient, event: Event, user: str, more: dict[str, Any]) -> None:
    """As any other nonsense."""
    (name,) = more
    answer = problem(post(client, "/seats/hold", wish(SeatId(event.id, 1), user, **more)), 422, "invalid-request")
    assert [error["field"] for error in answer["errors"]] == [name]
    refresh = post(client, "/seats/refresh", wish(SeatId(event.id, 1), user, priority="standard"))
    problem(refresh, 422, "invalid-request")


# Later


def test_a_job_for_later_is_carried_out_then(
    client: testing.TestClient, store: Store, queue: Queue, event: Event, user: str
) -> None:
    """Not before, whoever tries; and from then on it is like any other."""
    seat, not_before = SeatId(event.id, 1), now_ms(store, event) + MINUTE_MS
    answer = post(client, "/seats/hold", wish(seat, user, notBefore=not_before), Prefer="wait=5")
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers, "it cannot have ended by then"
    assert 58 <= answer.json["estimatedWaitTime"] <= 60
    assert int(answer.headers["retry-after"]) == answer.json["estimatedWaitTime"]
    job = JobId.parse(answer.json["jobId"])
    status = client.simulate_get(answer.json["statusEndpoint"]).json
    assert (status["status"], status["priority"], status["notBefore"]) == ("waiting", "standard", not_before)
    assert status["deadline"] == not_before + 30_000
    assert 58 <= status["estimatedWaitTime"] <= 60
    assert queue.actors.hold_seat.fn(str(job), seat_id=str(seat), user=user) is None, "it has not ended"
    sweeper = Sweeper(store, queue)
    sweeper.sweep()
    assert (queue.depth(), store.events.load(event.id)[-2:]) == (0, (1, 0)), "it is open, and not to be started"
    with working(store, queue):
        queue.send_jobs([(job, store.jobs.task(job))])
        wait_for(lambda: queue.broker.servers.client.hlen(queue.broker.key(queue._shard(event.id), ".msgs")) == 0)
        assert store.jobs.read(job).status == "waiting", "its message came too early, and it is left for later"
        come_due(store, job)
        sweeper.sweep()
        wait_for(lambda: store.jobs.read(job).ended)
    ended = client.simulate_get(answer.json["statusEndpoint"], headers={"X-User-UUID": user}).json
    assert ended["result"]["seat"]["UUID"] == user
    assert ended["completedAt"] >= ended["notBefore"]
    assert int(store.client.hget(keys.event(event.id), "pace") or 0) < 30_000_000, "the minute is nobody's work"


def test_a_time_that_is_past_is_none(client: testing.TestClient, store: Store, queue: Queue, event: Event) -> None:
    """It is carried out at once, and what is certain is said at once."""
    seat, long_ago = SeatId(event.id, 1), now_ms(store, event) - MINUTE_MS
    answer = post(client, "/seats/hold", wish(seat, str(uuid4()), notBefore=long_ago))
    assert "notBefore" not in client.simulate_get(answer.json["statusEndpoint"]).json
    assert queue.depth() == 1
    with working(store, queue):
        wait_for(lambda: store.seats.get(seat).status == "On hold")
    problem(post(client, "/seats/hold", wish(seat, str(uuid4()), notBefore=long_ago)), 409, "seat-held")


def test_of_sweepers_one_starts_a_job(store: Store, queue: Queue, event: Event) -> None:
    """Each message is sent once, whoever looks at the same time."""
    jobs = [accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS) for _ in range(150)]
    come_due(store, *jobs)
    assert store.events.load(event.id).startable == 150
    start = Barrier(3)

    def sweep() -> None:
        sweeper = Sweeper(store, queue)
        start.wait()
        sweeper.sweep()

    threads = [Thread(target=sweep) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.depth() == 150
    assert store.events.load(event.id)[-2:] == (150, 0)


def test_a_job_is_started_once_and_in_time(store: Store, event: Event) -> None:
    """Whatever a sweeper believes that has looked before: the script looks again."""
    early, due = (accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS) for _ in range(2))
    come_due(store, due)
    names = [keys.event(event.id), keys.jobs(event.id), keys.job(early), keys.job(due)]
    assert store.scripts.run("start_due", names, [str(early), str(due)]) == [str(due)]
    place = store.client.zscore(keys.jobs(event.id), str(due))
    assert store.scripts.run("start_due", names, [str(early), str(due)]) == []
    assert store.client.zscore(keys.jobs(event.id), str(due)) == place


def test_what_a_sweeper_has_started_and_not_sent_is_sent_again(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died in between; or the queue was gone."""
    job = accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS)
    come_due(store, job)
    assert [started.job_id for started in store.jobs.start_due(event.id, now_ms(store, event))] == [job]
    store.fleet.beat(keys.WORKERS, "a worker")
    Sweeper(store, queue).sweep()
    assert queue.depth() == 0, "it has just been started"
    monkeypatch.setattr("actors.sweeper._RESEND_MS", 0)
    Sweeper(store, queue).sweep()
    assert queue.depth() == 1


def test_a_job_for_later_ends_without_a_queue_too(
    make_settings: Callable[..., Settings], store: Store, event: Event
) -> None:
    """At its deadline, as any."""
    lost = Queue.connect(make_settings(broker_url="unix:///nonexistent/redis.sock"), store, connections=2)
    job = accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS)
    come_due(store, job)
    sweeper = Sweeper(store, lost)
    sweeper.sweep()
    assert (store.jobs.read(job).status, store.events.load(event.id).startable) == ("waiting", 0)
    store.client.hset(keys.job(job), "deadline", now_ms(store, event))
    sweeper.sweep()
    assert store.jobs.entry(job)["status"] == "failed"


def test_the_past_of_a_job_for_later_is_not_its_age(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass does not read on and on, because those that have just been started were accepted long ago."""
    monkeypatch.setattr("actors.sweeper._FIRST_JOBS", 2)
    jobs = [accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS) for _ in range(20)]
    for job in jobs:
        store.client.hset(keys.job(job), "createdAt", now_ms(store, event) - 10 * MINUTE_MS)
    come_due(store, *jobs)
    pages, open_jobs = [], store.jobs.open_jobs

    def read(*asked: Any, vip: bool) -> list[OpenJob]:
        pages.append(vip)
        return open_jobs(*asked, vip=vip)

    monkeypatch.setattr(store.jobs, "open_jobs", read)
    Sweeper(store, queue).sweep()
    assert pages == [True, False], "one page of each lane"
    assert queue.depth() == 20


# What holds then


def test_what_is_held_then_decides(store: Store, event: Event, buyer: Buyer, rival: Buyer) -> None:
    """Not what was when it was asked for: neither of the seat nor of the user."""
    seats = [SeatId(event.id, number) for number in range(1, 9)]
    rival.hold(seats[0])
    for seat in seats[1:7]:
        buyer.hold(seat)
    job, beyond = (accept(store, seat, buyer.user, in_ms=MINUTE_MS) for seat in (seats[0], seats[7]))
    store.seats.release(seats[0], rival.user)
    come_due(store, job, beyond)
    assert store.seats.hold(seats[7], buyer.user, beyond).code == Code.LIMIT_REACHED
    store.seats.release(seats[1], buyer.user)
    assert store.seats.hold(seats[0], buyer.user, job).code == Code.HELD


def test_a_reservation_for_later_keeps_its_seat(
    client: testing.TestClient, store: Store, queue: Queue, event: Event, buyer: Buyer
) -> None:
    """From when it is accepted; it has to begin before the hold ends by itself. Who asks again is told of it."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    expires_at = store.seats.get(seat).expires_at or 0
    late = post(client, "/seats/reserve", wish(seat, buyer.user, notBefore=expires_at))
    refused = problem(late, 409, "delay-too-long")
    assert refused["latest"] == expires_at - 1
    answer = post(client, "/seats/reserve", wish(seat, buyer.user, notBefore=expires_at - 1, priority="vip"))
    assert answer.status_code == 202
    kept = store.seats.get(seat)
    assert (kept.expires_at, kept.reserving_until) == (expires_at, expires_at - 1 + 300_000)
    problem(post(client, "/seats/release", wish(seat, buyer.user)), 409, "reserve-pending")
    again = post(client, "/seats/reserve", wish(seat, buyer.user))
    assert again.json["jobId"] == answer.json["jobId"]
    assert again.json["estimatedWaitTime"] >= 58, "it is the same job"
    assert queue.depth() == 0
    job = JobId.parse(answer.json["jobId"])
    come_due(store, job)
    Sweeper(store, queue).sweep()
    assert queue.depth(vip=True) == 1
    with working(store, queue):
        wait_for(lambda: store.seats.get(seat).status == "Reserved")


def test_seats_for_later_are_picked_then(store: Store, queue: Queue, party_of_two: Group, user: str) -> None:
    """Even of an event that is sold out now; nothing is kept from others until then."""
    event = store.events.get(party_of_two.event_id)
    rows = [tuple(SeatId(event.id, n) for n in (first, first + 1)) for first in range(1, 20, 2)]
    holders = {row: str(uuid4()) for row in rows}
    for row, holder in holders.items():
        job = JobId.new(event.id)
        store.seats.accept_hold(row, holder, job)
        store.seats.hold(row, holder, job)
    job = JobId.new(event.id)
    turn = Turn(not_before=now_ms(store, event) + MINUTE_MS)
    accepted, first = store.best.accept(party_of_two, user, job, turn=turn)
    assert MINUTE_MS - 5_000 < accepted.delay_ms <= MINUTE_MS
    assert not store.client.exists(keys.picked(event.id))
    freed = next(row for row in rows if set(row) != set(first))
    store.seats.release(freed, holders[freed])
    come_due(store, job)
    Sweeper(store, queue).sweep()
    with working(store, queue):
        wait_for(lambda: store.jobs.read(job).ended)
    result = store.jobs.read(job).result
    assert result is not None
    assert [seat.id for seat in result.seats or ()] == [str(seat) for seat in freed]


@pytest.fixture
def party_of_two(event: Event) -> Group:
    return Group.model_validate({"eventId": event.id, "quantity": 2})


def test_what_no_event_can_have_is_refused_for_later_too(client: testing.TestClient, store: Store, user: str) -> None:
    """It is certain already."""
    rows = {"sections": [{"name": "Stalls", "rows": [{"seats": 4, "count": 3}]}]}
    event = post(client, "/events/create", {"name": "Small", "layout": rows}).json["id"]
    wanted = {"eventId": event, "quantity": 5, "adjacent": "required", "UUID": user}
    later = store.events.load(event).now + MINUTE_MS
    refused = problem(post(client, "/seats/best-available", {**wanted, "notBefore": later}), 409, "no-seats-together")
    assert (refused["largestBlock"], refused["free"]) == (4, 12)


def test_later_is_bounded(make_settings: Callable[..., Settings], store: Store, event: Event, user: str) -> None:
    """By MAX_JOB_DELAY, and by the admission that the hold needs."""
    brief = Store.connect(make_settings(max_job_delay=60), connections=2)
    accept(brief, SeatId(event.id, 1), in_ms=MINUTE_MS - 5_000)
    with pytest.raises(DelayTooLong) as refused:
        accept(brief, SeatId(event.id, 1), in_ms=MINUTE_MS + 5_000)
    assert 0 <= refused.value.latest - MINUTE_MS - now_ms(store, event) + 5_000 <= 5_000
    room = WaitingRoom(admit_per_minute=60_000, admission_ttl=600)
    entered = store.events.create("Opening night", 20, room=room)
    ticket = store.rooms.draw(entered.id, user).ticket
    assert ticket.admission is not None
    ends = ticket.admission_expires_at or 0
    hold = partial(store.seats.accept_hold, SeatId(entered.id, 1), user, admission=ticket.admission)
    with pytest.raises(DelayTooLong) as refused:
        hold(JobId.new(entered.id), turn=Turn(not_before=ends))
    assert refused.value.latest == ends - 1
    assert hold(JobId.new(entered.id), turn=Turn(not_before=ends - 1)).delay_ms > 0


def test_a_second_reserve_of_a_hold_is_for_now(store: Store, event: Event, buyer: Buyer) -> None:
    """It has to end before the hold does: one that began a moment before that could only fail."""
    seat, first, job = SeatId(event.id, 1), JobId.new(event.id), JobId.new(event.id)
    buyer.hold(seat)
    ends = store.seats.get(seat).expires_at or 0
    store.seats.accept_reserve(seat, buyer.user, first)
    store.seats.fail(seat, buyer.user, first, Code.INTERNAL_ERROR)
    with pytest.raises(DelayTooLong) as refused:
        store.seats.accept_reserve(seat, buyer.user, job, turn=Turn(not_before=ends - 1))
    assert refused.value.latest < ends - 1
    accepted = store.seats.accept_reserve(seat, buyer.user, job, turn=Turn(not_before=refused.value.latest))
    assert (accepted.delay_ms, store.jobs.read(job).deadline) == (0, ends)


def test_jobs_for_later_leave_half_the_room(make_settings: Callable[..., Settings], event: Event) -> None:
    """They wait for long, and others want to be served meanwhile. All count."""
    store = Store.connect(make_settings(max_open_jobs=5), connections=2)
    for _ in range(3):
        accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS)
    with pytest.raises(QueueFull):
        accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS)
    for _ in range(2):
        accept(store, SeatId(event.id, 1))
    with pytest.raises(QueueFull):
        accept(store, SeatId(event.id, 1))


def test_nobody_asks_for_more_than_they_may_hold(
    client: testing.TestClient, store: Store, event: Event, user: str
) -> None:
    """Later as now, in groups and one by one, of the best seats too; what has had its time is none of it."""
    later = now_ms(store, event) + MINUTE_MS
    five = {"ids": [f"{event.id}-{number}" for number in range(1, 6)], "UUID": user, "notBefore": later}
    assert post(client, "/seats/hold", five).status_code == 202
    best = {"eventId": event.id, "quantity": 1, "UUID": user, "notBefore": later}
    assert post(client, "/seats/best-available", best).status_code == 202
    for path, body in (("hold", wish(SeatId(event.id, 9), user, notBefore=later)), ("best-available", best)):
        refused = problem(post(client, f"/seats/{path}", body), 409, "limit-reached")
        assert (refused["limit"], refused["held"], refused["requested"]) == (6, 6, 1)
        assert refused["detail"] == "You have asked for 6 seats of this event to be held later; the limit is 6."
    assert post(client, "/seats/hold", wish(SeatId(event.id, 9), str(uuid4()), notBefore=later)).status_code == 202
    asked = keys.later(event.id, user)
    (member,) = store.client.zrange(asked, 0, 0)
    store.client.zincrby(asked, -MINUTE_MS, str(member))
    assert post(client, "/seats/hold", wish(SeatId(event.id, 9), user, notBefore=later)).status_code == 202


def test_what_is_reserved_already_waits_for_nothing(make_settings: Callable[..., Settings], event: Event) -> None:
    """Or one user's reserved seat would fill the event's room, for as long as a job may be put off."""
    store = Store.connect(make_settings(max_open_jobs=2), connections=2)
    buyer, seat = Buyer(store, str(uuid4())), SeatId(event.id, 1)
    buyer.hold(seat)
    buyer.reserve(seat)
    job_id = JobId.new(event.id)
    accepted = store.seats.accept_reserve(seat, buyer.user, job_id, turn=Turn(False, now_ms(store, event) + MINUTE_MS))
    assert (accepted.delay_ms, store.jobs.read(job_id).not_before) == (0, None)
    assert store.seats.reserve(seat, buyer.user, job_id).code == Code.RESERVED_ALREADY


def test_best_seats_for_a_time_that_is_past_are_those_of_now(
    client: testing.TestClient, store: Store, event: Event, user: str
) -> None:
    """So where there are none, nobody waits for a job to say so."""
    for number in range(1, event.total_seats + 1):
        Buyer(store, str(uuid4())).hold(SeatId(event.id, number))
    wish = {"eventId": event.id, "quantity": 2, "UUID": user, "notBefore": 1}
    problem(post(client, "/seats/best-available", wish), 409, "too-few-seats")


def test_a_time_that_was_too_late_may_be_asked_for_again(client: testing.TestClient, store: Store, user: str) -> None:
    """With the same key: it is a refusal because of the time, like that of sales which are not open."""
    closes_at = store.events.load("aaaaaaaaaa").now + MINUTE_MS
    event = store.events.create("Matinee", 10, closes_at=closes_at)
    body, key = {"id": f"{event.id}-1", "UUID": user, "notBefore": closes_at + MINUTE_MS}, {"Idempotency-Key": "k"}
    problem(post(client, "/seats/hold", body, **key), 409, "delay-too-long")
    store.events.change(event.id, closes_at="never")
    assert post(client, "/seats/hold", body, **key).status_code == 202


def test_a_turn_is_no_part_of_a_reference(client: testing.TestClient, event: Event, buyer: Buyer) -> None:
    """One with the same words is another request."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    body, key = {"id": str(seat), "UUID": buyer.user}, {"Idempotency-Key": "k"}
    assert post(client, "/seats/reserve", {**body, "reference": "a", "priority": "vip"}, **key).status_code == 202
    again = post(client, "/seats/reserve", {**body, "reference": "a vip 0"}, **key)
    problem(again, 422, "idempotency-key-reused")


def test_a_request_that_is_sent_again_is_the_same(
    client: testing.TestClient, store: Store, queue: Queue, event: Event, user: str
) -> None:
    """To the letter; with another priority, or at another time, it is another."""
    later = now_ms(store, event) + MINUTE_MS
    first, key = wish(SeatId(event.id, 1), user, notBefore=later), {"Idempotency-Key": str(uuid4())}
    answer = post(client, "/seats/hold", first, **key)
    again = post(client, "/seats/hold", {**first, "priority": "standard"}, **key)
    assert (again.text, again.headers["idempotency-replayed"]) == (answer.text, "true")
    assert queue.depth() == 0
    for other in ({"priority": "vip"}, {"notBefore": later + 1}):
        problem(post(client, "/seats/hold", {**first, **other}, **key), 422, "idempotency-key-reused")


# What operators see


def test_what_waits_for_its_time_is_not_old(store: Store, event: Event, capsys: pytest.CaptureFixture[str]) -> None:
    """The oldest open job is one that could have been carried out; those for later are counted apart."""
    later = accept(store, SeatId(event.id, 1), in_ms=MINUTE_MS)
    store.client.hset(keys.job(later), "createdAt", now_ms(store, event) - 10 * MINUTE_MS)
    overview = Overview(store.scripts)
    (report,) = overview.report([event.id])
    assert (report.open_jobs, report.later, report.ended, report.oldest_ms) == (1, 1, 0, 0)
    standard, vip = accept(store, SeatId(event.id, 2)), accept(store, SeatId(event.id, 3), vip=True)
    store.client.hset(keys.job(standard), "createdAt", now_ms(store, event) - MINUTE_MS)
    (report,) = overview.report([event.id])
    assert (report.open_jobs, report.later, report.ended) == (3, 1, 0)
    assert MINUTE_MS <= report.oldest_ms < 2 * MINUTE_MS
    found = find(store, Wanted(event=event.id), 3, oldest=True)
    capsys.readouterr()  # what was logged meanwhile, of a cluster whose slots move
    print_list(found, as_json=False, reveal=False)
    listed = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(line[0], line[2]) for line in listed] == [
        (str(later), "standard"),
        (str(standard), "standard"),
        (str(vip), "vip"),
    ]
    assert listed[0][-3:-1] == ["not", "before"]
    for job in (standard, vip):
        task = store.jobs.task(job)
        store.seats.hold(task.seats, task.user, job)
    come_due(store, later)
    store.jobs.start_due(event.id, now_ms(store, event))
    (report,) = overview.report([event.id])
    assert (report.open_jobs, report.later, report.ended) == (1, 0, 2)
    assert report.oldest_ms < MINUTE_MS, "not from when it was accepted"


@pytest.mark.parametrize("newest", [True, False])
def test_the_newest_and_the_oldest_are_found_in_every_lane(store: Store, event: Event, *, newest: bool) -> None:
    """As many of each as are asked for; those for later stand in another order, so all of them."""
    jobs = [accept(store, SeatId(event.id, 1), vip=vip, in_ms=ms) for ms in (0, MINUTE_MS) for vip in [True, False] * 3]
    ids = store.jobs.open_ids([event.id], 2, newest=newest)
    wanted = jobs[2:6] if newest else jobs[:4]
    assert set(ids) == {*wanted, *jobs[6:]}
    assert set(store.jobs.open_ids([event.id], 0, newest=newest)) == set(jobs)
