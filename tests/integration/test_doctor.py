"""What `reservation doctor` finds about servers and processes, on real ones that are not as they should be."""

import threading
import time
from collections.abc import Callable
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import redis
from falcon import testing

from reservation import keys
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation_cli import doctor
from reservation_cli.advice import Advice, Level
from reservation_cli.doctor import about_backlog, about_info, examine
from tests.conftest import one_server
from tests.integration.test_checks import server as started

MakeSettings = Callable[..., Settings]


def _alive(store: Store) -> None:
    store.fleet.beat(keys.WORKERS, "a worker@1.0")
    store.fleet.beat(keys.SWEEPERS, "a sweeper@1.0")


def _wrong(found: list[Advice]) -> dict[str, Advice]:
    return {advice.about: advice for advice in found if advice.level > Level.OK}


@one_server
def test_a_service_that_is_well_has_nothing_to_change(settings: Settings, store: Store) -> None:
    """What was looked at is told all the same."""
    _alive(store)
    found = examine(settings, None)
    assert _wrong(found) == {}
    assert [advice.about for advice in found] == ["settings", "REDIS_URL", "service"]
    assert "workers 1, sweepers 1 (versions: 2 of 1.0)" in found[-1].finding


@one_server
def test_a_service_without_processes_is_ill(settings: Settings, store: Store) -> None:
    """Nobody carries jobs out, nobody sends again."""
    assert {about: advice.level for about, advice in _wrong(examine(settings, None)).items()} == {
        "workers": Level.ERROR,
        "sweepers": Level.ERROR,
    }


@one_server
def test_webhooks_that_nobody_sends_are_an_error(make_settings: MakeSettings, store: Store) -> None:
    """Where they are on."""
    _alive(store)
    assert [advice.about for advice in examine(make_settings(webhooks="on"), None) if advice.level == Level.ERROR] == [
        "webhooks"
    ]


def test_what_the_start_checks_is_checked(make_settings: MakeSettings) -> None:
    """With its remedy apart."""
    with started("--appendfsync", "everysec") as running:
        advice = _wrong(examine(make_settings(redis_url=running.url()), None))["REDIS_URL"]
    assert advice.level == Level.WARNING
    assert "forgets the last second" in advice.finding
    assert advice.remedy == "set appendfsync always, not everysec"


@one_server
def test_a_server_that_is_gone_is_an_error(settings: Settings, make_settings: MakeSettings, store: Store) -> None:
    """Whichever it is; said once, and the rest is looked at."""
    _alive(store)
    found = examine(make_settings(broker_url="unix:///nonexistent/redis.sock"), None)
    assert {a.about: a.level for a in found if a.level > Level.OK} == {"BROKER_URL": Level.ERROR}
    found = examine(make_settings(redis_url="unix:///nonexistent/redis.sock"), None)
    assert [a.about for a in found if a.level > Level.OK] == ["REDIS_URL", "service"]


def test_a_server_that_cannot_write_its_file_is_an_error(server: EmbeddedRedis, make_settings: MakeSettings) -> None:
    """Nothing can be changed then; that it could not be rewritten is a warning."""
    with redis.Redis.from_url(server.url()) as client:
        info = {**client.info(), "aof_last_bgrewrite_status": "err", "aof_last_write_status": "err"}
    levels = [advice.level for advice in about_info("REDIS_URL", info, make_settings())]
    assert levels == [Level.ERROR, Level.WARNING]


@one_server
@pytest.mark.parametrize(("limit", "level"), [(1.02, Level.ERROR), (1.15, Level.WARNING), (2, None)])
def test_memory_that_is_nearly_full_is_said(
    server: EmbeddedRedis, make_settings: MakeSettings, limit: float, level: Level | None
) -> None:
    """Before it refuses anything."""
    with redis.Redis.from_url(server.url()) as client:
        # One reading: a moment later it may have given back what it had received into.
        info = client.info()
    found = list(about_info("REDIS_URL", {**info, "maxmemory": round(info["used_memory"] * limit)}, make_settings()))
    assert [advice.level for advice in found] == ([] if level is None else [level])


def test_connections_that_are_nearly_used_up_are_said(server: EmbeddedRedis, make_settings: MakeSettings) -> None:
    """As the server counts them."""
    with redis.Redis.from_url(server.url()) as client:
        client.config_set("maxclients", 10)
        others = [redis.Redis.from_url(server.url()) for _ in range(8)]
        for other in others:
            other.ping()
        (advice,) = about_info("REDIS_URL", client.info(), make_settings())
        for other in others:
            other.close()
    assert (advice.level, "9 of at most 10" in advice.finding) == (Level.WARNING, True)


def test_no_bound_on_memory_is_noted_in_production_only(settings: Settings) -> None:
    """On one's own machine it is no use."""
    production = settings.model_copy(update={"environment": "production"})
    assert [advice.level for advice in about_info("REDIS_URL", {"maxmemory": 0}, production)] == [Level.NOTE]
    assert list(about_info("REDIS_URL", {"maxmemory": 0}, settings)) == []
    assert list(about_info("REDIS_URL", {"maxmemory": 1_000}, production)) == []


@one_server
def test_clocks_that_are_apart_are_said(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's against this host's, either way."""
    _alive(store)
    real = time.time
    for skew in (-5, 5):
        monkeypatch.setattr(time, "time", lambda skew=skew: real() + skew)
        found = [a for a in examine(settings, None) if "clock" in a.finding]
        assert [advice.level for advice in found] == [Level.WARNING]


@one_server
def test_a_server_that_is_far_away_is_said(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the median of some round trips."""
    _alive(store)
    monkeypatch.setattr(doctor, "_ping_ms", lambda _: 7.0)
    assert "7.0 ms away" in _wrong(examine(settings, None))["REDIS_URL"].finding


def test_a_backlog_is_said_before_jobs_fail(settings: Settings) -> None:
    """At half of the shorter deadline; by then it is late."""
    assert list(about_backlog(0, 15_000, 15_000, settings)) == []
    assert [a.level for a in about_backlog(0, 15_001, 30_001, settings)] == [Level.WARNING, Level.ERROR]
    assert [a.level for a in about_backlog(40_001, 0, 0, settings)] == [Level.WARNING]
    assert list(about_backlog(None, 0, 0, settings)) == []


def test_the_oldest_open_job_is_looked_at(settings: Settings, store: Store, event: Event, user: str) -> None:
    """Its age in the ledger."""
    _alive(store)
    job = JobId.new(event.id)
    store.seats.accept_hold(SeatId(event.id, 1), user, job)
    store.client.hincrby(keys.job(job), "createdAt", -20_000)
    assert _wrong(examine(settings, None))["backlog"].level == Level.WARNING


def test_several_versions_are_noted(settings: Settings, store: Store) -> None:
    """An upgrade that has not ended; what does not say is older."""
    _alive(store)
    store.fleet.beat(keys.WORKERS, "another")
    assert "2 of 1.0, 1 of unknown" in _wrong(examine(settings, None))["versions"].finding


def test_the_api_is_asked_how_it_is(settings: Settings, store: Store, client: testing.TestClient) -> None:
    """Well, degraded, or not there at all."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with make_server("127.0.0.1", 0, client.app, handler_class=Quiet) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{http.server_port}"
        assert examine(settings, url)[-1].level == Level.WARNING
        _alive(store)
        well = examine(settings, url)[-1]
        assert (well.level, well.about, well.finding.split(":")[0]) == (Level.OK, "API", "ready")
        assert examine(settings, f"{url}/nowhere")[-1].level == Level.ERROR
        http.shutdown()
    for wrong in (url, "nonsense"):
        assert examine(settings, wrong)[-1].level == Level.ERROR
