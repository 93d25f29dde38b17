"""`/ops/figures`: how the whole service is doing, for whom it is meant; and the page that shows it."""

import threading
from collections.abc import Callable

import pytest
from falcon import testing

from actors import figures
from actors.figures import Readings
from actors.queue import Queue
from reservation import keys
from reservation.codes import Code
from reservation.embedded import EmbeddedRedis
from reservation.fleet import Lag
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.seats import Verdict
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app, is_slow
from tests.conftest import Buyer, wait_for
from tests.servers import hanging
from tests.web import JWT, bearer, problem

Make = Callable[..., testing.TestClient]
PATH = "/ops/figures"
JOB = "k3v9x2m7qa-" + "0" * 25


def test_it_shows_what_is_going_on(client: testing.TestClient, store: Store, event: Event, buyer: Buyer) -> None:
    """Who is at work, what waits, what is held, and what has ended; by the service's clock."""
    buyer.hold(SeatId(event.id, 1))
    store.seats.accept_hold(SeatId(event.id, 2), buyer.user, JobId.new(event.id))
    store.counts.job_ended("HOLD_SEAT", JobId.parse(JOB), Verdict(Code.DEADLINE_PASSED, 1767225600000, 30_010))
    store.counts.job_ended("HOLD_SEAT", JobId.parse(JOB), Verdict(Code.HELD, 1767225600000, 4))
    store.counts.holds_expired(3)
    store.fleet.beat(keys.WORKERS, "one", Lag(250, 20))
    store.fleet.beat(keys.SWEEPERS, "two")
    answer = client.simulate_get(PATH)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    found = answer.json
    assert 0 <= store.events.load(event.id).now - found["time"] < 60_000
    assert found["queue"] == {"messages": 0, "lagSeconds": 0.25, "vipMessages": 0, "vipLagSeconds": 0.02}
    assert (found["workers"], found["sweepers"], found["openJobs"], found["holds"]) == (1, 1, 1, 1)
    assert 0 <= found["oldestJobSeconds"] < 60
    assert found["expired"] == 3
    ended = {(jobs["type"], jobs["outcome"]): jobs["count"] for jobs in found["jobs"]}
    assert ended["HOLD_SEAT", "held"] == ended["HOLD_SEAT", "deadline-passed"] == 1
    assert ended["RESERVE_SEAT", "reserved"] == 0, "a counter that is not there yet has no rate"
    (took,) = [duration for duration in found["durations"] if duration["type"] == "HOLD_SEAT"]
    upto = {bucket["le"]: bucket["count"] for bucket in took["buckets"]}
    assert (upto[0.003], upto[0.005], upto[30], upto[60], took["count"]) == (0, 1, 1, 2, 2)
    failed = {"job": JOB, "type": "HOLD_SEAT", "error": "deadline-passed", "time": 1767225600000}
    assert found["failed"] == [failed]
    assert buyer.user not in answer.text


def test_an_idle_service_has_zeros(client: testing.TestClient) -> None:
    """Not gaps: it is known that nothing happens."""
    found = client.simulate_get(PATH).json
    assert (found["workers"], found["openJobs"], found["holds"], found["expired"]) == (0, 0, 0, 0)
    assert found["failed"] == []


def test_with_tokens_it_needs_a_scope(secured: testing.TestClient, user: str) -> None:
    """`ops:read`, and no other. The page has nothing in it, and is for anybody."""
    problem(secured.simulate_get(PATH), 401, "token-missing")
    problem(secured.simulate_get(PATH, headers={"Authorization": "Bearer x"}), 401, "token-invalid")
    refused = secured.simulate_get(PATH, headers=bearer(user, "events:write", "seats:read", "ops", "ops:reader"))
    assert problem(refused, 403, "scope-missing")["scope"] == "ops:read"
    assert secured.simulate_get(PATH, headers=bearer(user, "ops:read")).status_code == 200
    assert secured.simulate_get("/ops").status_code == 200


def test_who_asks_is_counted(make_client: Make, user: str) -> None:
    """For the limits, as any reader."""
    client = make_client(rate_limits="on", rate_limit_address="3/minute", **JWT)
    for _ in range(3):
        assert client.simulate_get(PATH, headers=bearer(user, "ops:read")).status_code == 200
    problem(client.simulate_get(PATH, headers=bearer(user, "ops:read")), 429, "rate-limited")


def test_what_cannot_be_known_is_left_out(server: EmbeddedRedis) -> None:
    """A server that hangs, and one that has stopped: it answers all the same."""
    settings = Settings(_env_file=None, redis_url=server.url())  # type: ignore[call-arg]  # pydantic-settings' own
    services = Services.connect(settings)
    with hanging(server):
        found = testing.TestClient(create_app(services)).simulate_get(PATH).json
    server.stop()
    for shown in (found, testing.TestClient(create_app(services)).simulate_get(PATH).json):
        assert set(shown) == {"time", "queue"}
        assert shown["queue"] == {}


def test_without_the_queue_the_rest_is_there(make_client: Make, server: EmbeddedRedis) -> None:
    """And the other way round it would be the queue's."""
    client = make_client(broker_url=server.url())
    server.stop()
    found = client.simulate_get(PATH).json
    assert found["queue"] == {"lagSeconds": 0, "vipLagSeconds": 0}
    assert (found["workers"], found["holds"], found["failed"]) == (0, 0, [])


def test_sums_that_took_too_long_are_left_out(
    client: testing.TestClient, event: Event, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a sum would be untrue. The rest is there."""
    buyer.hold(SeatId(event.id, 1))
    monkeypatch.setattr(figures, "_BUDGET_S", -1)
    found = client.simulate_get(PATH).json
    assert not {"holds", "openJobs", "oldestJobSeconds"} & set(found)
    assert found["workers"] == 0


def test_while_it_is_read_others_are_shown_the_last(
    store: Store, queue: Queue, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many look: one reading at a time, and nobody's thread waits for it."""
    readings = Readings(store, queue)
    first = readings.last()
    monkeypatch.setattr(figures, "_FRESH_S", 0.0)
    reading, go_on = threading.Event(), threading.Event()
    report = readings._events.report

    def slow(event_ids: list[str]) -> object:
        reading.set()
        assert go_on.wait(10)
        return report(event_ids)

    monkeypatch.setattr(readings._events, "report", slow)
    store.seats.accept_hold(SeatId(event.id, 1), "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70", JobId.new(event.id))
    thread = threading.Thread(target=readings.last)
    thread.start()
    assert reading.wait(10)
    assert readings.last() is first
    go_on.set()
    thread.join()
    wait_for(lambda: (going_on := readings.last().going_on) and going_on.jobs == 1)


def test_the_loop_never_waits_for_it() -> None:
    """It waits for Redis: that is for the pool. The page is not."""
    assert is_slow(PATH)
    assert not is_slow("/ops")


def test_the_page_runs_files_of_this_origin_only(client: testing.TestClient) -> None:
    """Each of which is served, and nothing is inline."""
    page = client.simulate_get("/ops")
    assert page.status_code == 200
    assert "script-src 'self'; style-src 'self'" in page.headers["content-security-policy"]
    named = {part.split('"')[0] for part in page.text.split('"/assets/')[1:]}
    assert {"ops.css", "ops.js"} <= named
    for name in named:
        assert client.simulate_get(f"/assets/{name}").status_code == 200, name
    assert "<style" not in page.text
    assert 'style="' not in page.text
    assert all('src="' in tag for tag in page.text.split("<script")[1:])
