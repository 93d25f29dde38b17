"""What `reservation status` finds, on a real server."""

import json
from collections.abc import Callable
from itertools import count

import redis
from rich.console import Console

from actors.queue import Queue
from reservation import keys
from reservation.embedded import EmbeddedRedis
from reservation.fleet import Lag
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.models import Event
from reservation.seats import Turn
from reservation.settings import Settings
from reservation.store import Store
from reservation_cli.status import Health, Reading, Watch, render
from tests.conftest import Buyer
from tests.integration.conftest import commands


def _alive(store: Store) -> None:
    store.fleet.beat(keys.WORKERS, "a worker", Lag(7, 3))
    store.fleet.beat(keys.SWEEPERS, "a sweeper")


def _watch(settings: Settings, top: int = 5, most: int = 100) -> Watch:
    """One whose clock goes on by a second a reading."""
    seconds = count()
    return Watch(settings, top, most, clock=lambda: float(next(seconds)))


def test_an_idle_service_is_ready(settings: Settings, store: Store, event: Event) -> None:
    """With everything at rest, and nothing to tell of any event."""
    _alive(store)
    reading = _watch(settings).read()
    assert reading.health == Health.READY
    assert (reading.state, reading.queue, reading.workers, reading.sweepers, reading.lag_ms) == ("up", "up", 1, 1, 7)
    assert (reading.events, reading.open_jobs, reading.holds, reading.waiting, reading.busiest) == (1, 0, 0, 0, [])


def test_jobs_holds_and_messages_are_counted(
    settings: Settings, store: Store, event: Event, buyer: Buyer, queue: Queue
) -> None:
    """And how old the oldest open job is, by the server's clock."""
    buyer.hold(SeatId(event.id, 1))
    for number in (2, 3):
        seat, job = SeatId(event.id, number), JobId.new(event.id)
        store.seats.accept_hold(seat, buyer.user, job)
        store.client.hincrby(keys.job(job), "createdAt", -5_000 * number)
        queue.send_jobs([(job, Task("HOLD_SEAT", (seat,), buyer.user, ""))])
    later = Turn(not_before=store.events.load(event.id).now + 60_000)
    store.seats.accept_hold(SeatId(event.id, 4), buyer.user, JobId.new(event.id), turn=later)
    vip = Task("HOLD_SEAT", (SeatId(event.id, 5),), buyer.user, "", vip=True)
    queue.send_jobs([(JobId.new(event.id), vip)])
    reading = _watch(settings).read()
    assert (reading.open_jobs, reading.later, reading.holds, reading.active) == (3, 1, 1, 1)
    assert (reading.waiting, reading.vip_waiting) == (3, 1)
    assert 10_000 <= reading.oldest_ms < 15_000
    assert [(e.id, e.name, e.open_jobs, e.holds) for e in reading.busiest] == [(event.id, "Opening night", 3, 1)]
    shown = Console(width=200)
    with shown.capture() as lines:
        shown.print(render(reading, "here"))
    assert "3 messages waiting, 1 of them of VIP jobs" in lines.get()
    assert "3, 1 of them for later, the oldest 1" in lines.get()


def test_the_rate_is_of_jobs_that_ended_in_between(
    settings: Settings, store: Store, event: Event, buyer: Buyer
) -> None:
    """Those that were opened do not count, and those that ended before do not."""
    watch = _watch(settings)
    buyer.hold(SeatId(event.id, 1))
    assert watch.read().rate is None
    for number in (2, 3, 4):
        buyer.hold(SeatId(event.id, number))
    store.seats.accept_hold(SeatId(event.id, 5), buyer.user, JobId.new(event.id))
    reading = watch.read()
    assert (reading.rate, reading.busiest[0].rate, reading.open_jobs) == (3.0, 3.0, 1)
    assert watch.read().rate == 0.0


def test_the_last_jobs_of_an_event_count_although_it_is_idle(
    settings: Settings, store: Store, event: Event, buyer: Buyer
) -> None:
    """The sweeper may have taken it from the active ones meanwhile."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, buyer.user, job)
    watch = _watch(settings)
    watch.read()
    store.seats.hold(seat, buyer.user, job)
    store.client.delete(keys.ACTIVE)
    assert watch.read().rate == 1.0


def test_what_is_missing_is_said(settings: Settings, store: Store, event: Event) -> None:
    """A service that has nobody to carry jobs out is degraded."""
    reading = _watch(settings).read()
    assert reading.health == Health.DEGRADED
    assert [problem.split(":")[0] for problem in reading.problems] == ["no worker", "no sweeper"]


def test_who_sends_webhooks_is_missed_where_there_are_some(
    make_settings: Callable[..., Settings], store: Store
) -> None:
    """Elsewhere nothing is said of it."""
    _alive(store)
    settings = make_settings(webhooks="on")
    reading = _watch(settings).read()
    assert (reading.health, reading.senders) == (Health.DEGRADED, 0)
    assert reading.problems == ["no sender of webhooks: nobody is told anything"]
    store.fleet.beat(keys.SENDERS, "a sender")
    assert (_watch(settings).read().health, _watch(settings).read().senders) == (Health.READY, 1)
    assert _watch(make_settings()).read().senders is None


def test_the_busiest_come_first_and_no_more_than_asked_for(settings: Settings, store: Store, buyer: Buyer) -> None:
    """By open jobs."""
    events = [store.events.create(f"[bold]{number}", 10) for number in range(3)]
    for jobs, event in enumerate(events):
        for number in range(jobs):
            store.seats.accept_hold(SeatId(event.id, number + 1), buyer.user, JobId.new(event.id))
    reading = _watch(settings, top=2).read()
    assert [e.id for e in reading.busiest] == [events[2].id, events[1].id]
    assert "[bold]2" in " ".join(_rows(reading)), "a name is no markup"


def test_a_reading_of_many_events_costs_few_round_trips(settings: Settings, store: Store, buyer: Buyer) -> None:
    """It looks at the last touched ones only, and says so."""
    events = [store.events.create("Gala", 10) for _ in range(30)]
    for event in events:
        store.seats.accept_hold(SeatId(event.id, 1), buyer.user, JobId.new(event.id))
    watch = _watch(settings, most=20)
    watch.read()
    before = commands(store)
    reading = watch.read()
    spent = commands(store) - before
    assert (reading.active, reading.open_jobs, reading.events) == (20, 20, 30)
    assert spent["evalsha"] == 1 + 20  # the fleet, and each event that is looked at
    assert "last 20 touched" in " ".join(_rows(reading))


def _rows(reading: Reading) -> list[str]:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(render(reading, "somewhere"))
    return shown.get().splitlines()


def test_an_outage_is_said_and_gone_on_after(server: EmbeddedRedis, make_settings: Callable[..., Settings]) -> None:
    """No reading fails; the first after it has no rate."""
    settings = make_settings(redis_url=server.url())
    watch = _watch(settings)
    assert watch.read().state == "up"
    server.stop()
    down = watch.read()
    assert (down.health, down.state, down.queue) == (Health.UNAVAILABLE, "down", "down")
    assert any(problem.startswith("state unreachable: ") for problem in down.problems)
    assert json.loads(down.as_json())["status"] == "unavailable"
    server.start()
    up = watch.read()
    assert (up.state, up.rate) == ("up", None)


def test_a_queue_that_takes_no_messages_is_degraded(
    server: EmbeddedRedis, make_settings: Callable[..., Settings], store: Store
) -> None:
    """Full, it answers as ever; gone, it does not. The state is shown all the same."""
    _alive(store)
    watch = _watch(make_settings(broker_url=server.url()))
    assert watch.read().health == Health.READY
    with redis.Redis.from_url(server.url()) as admin:
        admin.config_set("maxmemory", 1)
    full = watch.read()
    assert (full.health, full.problems) == (Health.DEGRADED, ["queue takes no messages"])
    server.stop()
    gone = watch.read()
    assert (gone.health, gone.state, gone.waiting) == (Health.DEGRADED, "up", None)
