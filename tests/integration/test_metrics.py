"""`/metrics`: true, for whom it is meant, and with labels that nobody can choose."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from falcon import testing
from prometheus_client.parser import text_string_to_metric_families

from actors import figures as service_figures
from actors.figures import Readings
from actors.gauges import ServiceGauges
from actors.queue import Queue
from actors.sweeper import Sweeper
from reservation import keys
from reservation.codes import Code
from reservation.embedded import EmbeddedRedis
from reservation.fleet import Lag
from reservation.ids import JobId, SeatId
from reservation.metrics import exposition, registry
from reservation.models import Event
from reservation.seats import Turn
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app, is_slow
from tests.conftest import Buyer, wait_for, working
from tests.integration.conftest import lapse
from tests.servers import hanging
from tests.web import JWT, bearer, post, problem

Make = Callable[..., testing.TestClient]
SCRAPER = "s3cret-of-the-scraper"


def figures(text: str) -> dict[str, float]:
    """Each series with its value."""
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(client: testing.TestClient) -> dict[str, float]:
    answer = client.simulate_get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return figures(answer.text)


def _read(store: Store, queue: Queue) -> dict[str, float]:
    return figures(exposition(registry(ServiceGauges(Readings(store, queue))), "")[0].decode())


def test_requests_are_counted_by_route_and_status(client: testing.TestClient, event: Event) -> None:
    """By the template, never the path."""
    before = scrape(client)
    for number in range(3):
        client.simulate_get(f"/seats/get/{event.id}-{number + 1}")
    client.simulate_get(f"/seats/get/{event.id}-99")
    after = scrape(client)
    for status, count in (("200", 3), ("404", 1)):
        name = f"reservation_http_request_seconds_count method=GET route=/seats/get/{{seat_id}} status={status}"
        assert after[name] - before.get(name, 0) == count
    assert event.id not in "".join(after)


def test_nobody_can_choose_a_label(client: testing.TestClient, store: Store, queue: Queue, event: Event) -> None:
    """Hostile paths, methods, ids and headers: no more series than before, but for what is counted as unmatched; and
    nothing of it in any."""

    def ask(mark: str) -> None:
        for path in (
            f"/{mark}",
            f"/seats/get/{mark}",
            f"/events/{mark}",
            f"//seats/hold/{mark}",
            f"/seats/list/{mark}%00",
        ):
            for method in ("GET", "POST", "PUT", "DELETE"):
                client.simulate_request(method, path, headers={"X-User-UUID": mark, "X-Request-ID": mark})
        for method in ("TRACE", "PATCH"):
            client.simulate_request(method, f"/{mark}")
        post(client, "/seats/hold", {"id": mark, "UUID": mark})
        post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": str(uuid4())}, **{"Idempotency-Key": f'"{mark}"'})
        post(client, "/events/create", {"name": mark, "totalSeats": 10})

    ask("first")
    before = set(scrape(client))
    for number in range(20):
        ask(f"mark{number}x")
    with working(store, queue):
        wait_for(lambda: not store.events.load(event.id).open_jobs)
    after = set(scrape(client))
    grown = {name for name in after - before if "reservation_http_request" in name}
    assert len(grown) < 100
    assert not [name for name in after if re.search(r"mark|first|[0-9a-f]{8}-", name) or event.id in name]


def test_jobs_are_counted_by_how_they_ended(store: Store, queue: Queue, event: Event, user: str, other: str) -> None:
    """Once each, however often their messages come; with the time that they took."""
    before = _read(store, queue)
    jobs = []
    for who, seat in ((user, 1), (other, 1), (user, 2)):
        job = JobId.new(event.id)
        # Both are accepted while the seat is free.
        store.seats.accept_hold(SeatId(event.id, seat), who, job)
        jobs.append(job)
    with working(store, queue, threads=1):
        for job in [*jobs, *jobs]:
            assert queue.send_jobs([(job, store.jobs.task(job))])
        wait_for(lambda: queue.depth() == 0 and all(store.jobs.read(job).ended for job in jobs))
    after = _read(store, queue)

    def grew(name: str) -> float:
        return after[name] - before[name]

    assert grew("reservation_jobs_total outcome=held type=HOLD_SEAT") == 2
    assert grew("reservation_jobs_total outcome=seat-held type=HOLD_SEAT") == 1
    assert grew("reservation_job_seconds_count type=HOLD_SEAT") == 3
    assert grew("reservation_redis_round_trip_seconds_count server=state") > 0
    assert grew("reservation_redis_round_trip_seconds_count server=broker") > 0


def test_failures_expiries_and_what_is_sent_again_are_counted(
    make_settings: Callable[..., Settings], brief: Store, queue: Queue, user: str
) -> None:
    """By whoever sees to them: the sweeper, and the actor that frees seats."""
    before = _read(brief, queue)
    event = brief.events.create("Opening night", 10)
    Buyer(brief, user).hold(SeatId(event.id, 1))
    lapse(brief, SeatId(event.id, 1))
    queue.actors.release_expired(event.id)
    late = Store.connect(make_settings(hold_job_deadline=0.001), connections=4)
    lost, too_late = JobId.new(event.id), JobId.new(event.id)
    brief.seats.accept_hold(SeatId(event.id, 2), user, lost)
    late.seats.accept_hold(SeatId(event.id, 3), user, too_late)
    brief.client.hset(keys.job(lost), "sentAt", 1)
    brief.fleet.beat(keys.WORKERS, "one")
    Sweeper(late, queue).sweep()
    assert late.jobs.read(too_late).result.error == Code.DEADLINE_PASSED.slug  # type: ignore[union-attr]  # it has one
    after = _read(brief, queue)
    for name in (
        "reservation_holds_expired_total",
        "reservation_jobs_resent_total",
        "reservation_jobs_total outcome=deadline-passed type=HOLD_SEAT",
    ):
        assert after[name] - before[name] == 1, name


def test_the_service_as_a_whole(
    brief: Store, store: Store, queue: Queue, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several events, in more than one go: what is on hold, open and oldest, and who is at work."""
    monkeypatch.setattr(service_figures, "_EVENTS_PER_LOOK", 2)
    events = [store.events.create("Opening night", 10) for _ in range(5)]
    for event in events:
        Buyer(store, user).hold(SeatId(event.id, 1))
    Buyer(brief, user).hold(SeatId(events[0].id, 2))
    lapse(brief, SeatId(events[0].id, 2))  # due, and so on hold no more
    for number, event in enumerate(events[:3]):
        job = JobId.new(event.id)
        store.seats.accept_hold(SeatId(event.id, 3), user, job)
        assert queue.send_jobs([(job, store.jobs.task(job))])
        if number == 1:
            now = store.events.load(event.id).now
            store.client.hset(keys.job(job), "createdAt", now - 60_000)
    later = Turn(vip=True, not_before=store.events.load(events[0].id).now + 60_000)
    vip = JobId.new(events[0].id)
    store.seats.accept_hold(SeatId(events[0].id, 3), user, vip, turn=later)
    queue.send_jobs([(vip, store.jobs.task(vip))])
    store.fleet.beat(keys.WORKERS, "one", Lag(250, 20))
    store.fleet.beat(keys.WORKERS, "two")
    store.fleet.beat(keys.SWEEPERS, "three")
    found = _read(store, queue)
    assert found["reservation_holds_active"] == 5
    assert (found["reservation_jobs_open"], found["reservation_jobs_later"]) == (4, 1)
    assert (found["reservation_queue_messages"], found["reservation_vip_messages"]) == (4, 1)
    assert (found["reservation_queue_lag_seconds"], found["reservation_vip_lag_seconds"]) == (0.25, 0.02)
    assert 60 <= found["reservation_oldest_job_seconds"] < 70
    assert found["reservation_active_events"] == 5
    assert (found["reservation_workers"], found["reservation_sweepers"]) == (2, 1)
    assert found["reservation_queue_lag_seconds"] > 0
    assert found["reservation_up server=state"] == found["reservation_up server=broker"] == 1


def test_who_sends_webhooks_is_counted_where_there_are_some(store: Store, queue: Queue) -> None:
    """A zero is an alarm: elsewhere there is none."""
    for webhooks, expected in ((True, 0), (False, None)):
        shown = registry(ServiceGauges(Readings(store, queue, webhooks=webhooks)))
        assert figures(exposition(shown, "")[0].decode()).get("reservation_webhook_senders") == expected


def test_an_idle_service_has_zeros(store: Store, queue: Queue) -> None:
    """Not gaps: it is known that nothing waits."""
    found = _read(store, queue)
    for name in ("holds_active", "jobs_open", "queue_messages", "oldest_job_seconds", "workers", "sweepers"):
        assert found[f"reservation_{name}"] == 0


def test_sums_that_took_too_long_are_left_out(
    store: Store, queue: Queue, event: Event, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a sum would be untrue. The rest is there."""
    buyer.hold(SeatId(event.id, 1))
    monkeypatch.setattr(service_figures, "_BUDGET_S", -1)
    found = _read(store, queue)
    assert "reservation_holds_active" not in found
    assert found["reservation_active_events"] == 1
    assert found["reservation_up server=state"] == 1


def test_it_is_read_once_a_second_at_most(store: Store, queue: Queue, event: Event, buyer: Buyer) -> None:
    """However many ask."""
    shown = registry(ServiceGauges(Readings(store, queue)))
    exposition(shown, "")
    buyer.hold(SeatId(event.id, 1))
    assert b"reservation_holds_active 0.0" in exposition(shown, "")[0]
    wait_for(lambda: b"reservation_holds_active 1.0" in exposition(shown, "")[0])


def test_a_server_that_is_gone_is_shown(server: EmbeddedRedis) -> None:
    """One that hangs, and one that has stopped: the scrape answers with the rest."""
    settings = Settings(_env_file=None, redis_url=server.url())  # type: ignore[call-arg]  # pydantic-settings' own
    services = Services.connect(settings)
    client = testing.TestClient(create_app(services))
    with hanging(server):
        found = scrape(client)
    server.stop()
    for shown in (found, scrape(testing.TestClient(create_app(services)))):
        assert shown["reservation_up server=state"] == shown["reservation_up server=broker"] == 0
        assert "reservation_workers" not in shown
        assert shown["reservation_jobs_total outcome=held type=HOLD_SEAT"] >= 0


def test_the_loop_never_waits_for_it() -> None:
    """It reads files, and waits for Redis: that is for the pool."""
    assert is_slow("/metrics")
    assert is_slow("//metrics")


def test_in_development_anybody_may_read_it(client: testing.TestClient) -> None:
    """There is nobody's name in it."""
    assert "reservation_build_info version=0.1.0" in scrape(client)
    assert client.simulate_head("/metrics").status_code == 200


def test_with_a_token_it_has_to_be_presented(make_client: Make, user: str) -> None:
    """By whoever asks, in development too. A user's token is another."""
    client = make_client(metrics_token=SCRAPER)
    answer = problem(client.simulate_get("/metrics"), 401, "token-missing")
    assert SCRAPER not in str(answer)
    for wrong in (SCRAPER[:-1], f"{SCRAPER}x", "", "é", SCRAPER.upper()):
        problem(client.simulate_get("/metrics", headers={"Authorization": f"Bearer {wrong}"}), 401, "token-invalid")
    problem(client.simulate_get("/metrics", headers={"Authorization": f"Basic {SCRAPER}"}), 401, "token-invalid")
    problem(client.simulate_get("/metrics", headers=bearer(user)), 401, "token-invalid")
    answered = client.simulate_get("/metrics", headers={"Authorization": f"bearer {SCRAPER}"})
    assert answered.status_code == 200
    assert answered.headers["cache-control"] == "no-store"


def test_in_production_there_is_none_without_a_token(make_client: Make) -> None:
    """Whatever is presented: an empty token is none."""
    client = make_client(environment="production", rate_limits="off", **JWT)
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {SCRAPER}"}):
        problem(client.simulate_get("/metrics", headers=headers), 404, "not-found")
    allowed = make_client(environment="production", rate_limits="off", **JWT, metrics_token=SCRAPER)
    assert allowed.simulate_get("/metrics", headers={"Authorization": f"Bearer {SCRAPER}"}).status_code == 200


def test_only_who_is_refused_is_counted_for_the_limits(make_client: Make) -> None:
    """Who guesses is slowed down, and who collects is not."""
    client = make_client(metrics_token=SCRAPER, rate_limits="on", rate_limit_address="3/minute")
    for _ in range(5):
        assert client.simulate_get("/metrics", headers={"Authorization": f"Bearer {SCRAPER}"}).status_code == 200
    for _ in range(3):
        problem(client.simulate_get("/metrics"), 401, "token-missing")
    problem(client.simulate_get("/metrics"), 429, "rate-limited")
    assert client.simulate_get("/metrics", headers={"Authorization": f"Bearer {SCRAPER}"}).status_code == 200
