"""What is said of a server that is not as it should be, on servers that are not."""

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import yaml

from reservation.checks import PUBLIC_PASSWORD, Finding, check, report
from reservation.embedded import EmbeddedRedis
from reservation.settings import Settings
from tests.conftest import one_server

MakeSettings = Callable[..., Settings]

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


@contextmanager
def server(*options: str, durable: bool = True) -> Iterator[EmbeddedRedis]:
    with (
        tempfile.TemporaryDirectory(prefix="reservation-") as folder,
        EmbeddedRedis(Path(folder), options, durable=durable) as running,
    ):
        yield running


@one_server
def test_the_server_that_is_shipped_is_as_it_should_be(settings: Settings) -> None:
    """Nothing is found about the embedded one."""
    assert check(settings) == []
    assert report(settings) == []


@pytest.mark.parametrize(
    ("options", "fatal", "says", "remedy"),
    [
        (["--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"], True, "drops seats", "noeviction"),
        (["--maxmemory-policy", "volatile-ttl", "--maxmemory", "100mb"], True, "drops seats", "noeviction"),
        (["--maxmemory-policy", "allkeys-lru"], False, "would drop seats", "noeviction"),
        (["--appendonly", "no"], False, "forgets what was sold", "appendonly yes"),
        (["--appendfsync", "everysec"], False, "the last second", "appendfsync always"),
        (["--appendfsync", "no"], False, "half a minute", "appendfsync always"),
        (["--notify-keyspace-events", "Ex"], False, "does not announce", "notify-keyspace-events Kx"),
        (["--notify-keyspace-events", "K$"], False, "does not announce", "notify-keyspace-events Kx"),
        (["--replicaof", "127.0.0.1", "1"], True, "is a replica", "name its primary"),
        (["--rename-command", "CONFIG", ""], False, "refuses CONFIG GET", "appendfsync always"),
        (["--rename-command", "INFO", ""], False, "INFO", "nothing about it can be checked"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(
    make_settings: MakeSettings, options: list[str], fatal: bool, says: str, remedy: str
) -> None:
    """What breaks a promise refuses the start, what weakens one is a warning."""
    with server(*options) as running:
        settings = make_settings(redis_url=running.url())
        finding = check(settings)[0]
        assert (finding.setting, finding.fatal) == ("REDIS_URL", fatal)
        assert says in finding.text
        assert remedy in finding.text
        assert report(settings) == [str(finding) for finding in check(settings) if finding.fatal]


def test_the_password_of_the_compose_file_is_for_development(make_settings: MakeSettings) -> None:
    """Everybody can read it there, and it is what stands between a stranger on that network and the seats."""
    text = COMPOSE.read_text()
    assert f"${{REDIS_PASSWORD:-{PUBLIC_PASSWORD}}}" in text
    with server() as running, redis.Redis.from_url(running.url()) as admin:
        admin.config_set("requirepass", PUBLIC_PASSWORD)
        url = f"{running.url()}&password={PUBLIC_PASSWORD}"
        assert report(make_settings(redis_url=url)) == []
        for name, values in (("REDIS_URL", {"redis_url": url}), ("BROKER_URL", {"broker_url": url})):
            (refused,) = report(make_settings(environment="production", **values))
            assert refused.startswith(f"{name}: ")
            assert "set REDIS_PASSWORD" in refused


def test_a_password_that_is_wrong_refuses_the_start(make_settings: MakeSettings) -> None:
    """It does not pass by itself, as a server that is not there may."""
    with server() as running, redis.Redis.from_url(running.url()) as admin:
        admin.config_set("requirepass", "secret")
        settings = make_settings(redis_url=running.url())
        assert all(finding.fatal and "user and password" in finding.text for finding in check(settings))
        assert report(settings)


@pytest.mark.parametrize("flags", ["Kx", "AKE", "KEx"])
def test_more_notifications_than_needed_are_fine(make_settings: MakeSettings, flags: str) -> None:
    """Others may want them."""
    with server("--notify-keyspace-events", flags) as running:
        assert check(make_settings(redis_url=running.url())) == []


@one_server
def test_the_queues_server_need_not_be_durable(make_settings: MakeSettings) -> None:
    """The ledger knows every job; a queue that is empty after a restart is filled again."""
    with server("--notify-keyspace-events", "", durable=False) as queue:
        assert check(make_settings(broker_url=queue.url())) == []


def test_the_servers_of_compose_are_as_they_should_be(make_settings: MakeSettings) -> None:
    """Their options, on servers that are the opposite without them: nothing is found, and only the queue's has
    nothing on disk. The service waits for both."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    _, require, state_password, *of_state = shlex.split(services["redis"]["command"])
    _, _, queue_password, *of_queue = services["queue"]["command"]
    assert require == "--requirepass"
    with server(*of_state, durable=False) as state, server("--save", "60 1", *of_queue) as queue:
        assert check(make_settings(redis_url=state.url(), broker_url=queue.url())) == []
        with redis.Redis.from_url(queue.url(), decode_responses=True) as client:
            assert client.config_get("appendonly", "save") == {"appendonly": "no", "save": ""}
    for service in (services[name] for name in ("api", "worker", "sweeper")):
        urls = [service["environment"][name] for name in ("REDIS_URL", "BROKER_URL")]
        assert urls == [f"redis://:{state_password}@redis:6379/0", f"redis://:{queue_password}@queue:6379/0"]
        assert {"redis", "queue"} < set(service["depends_on"])


@one_server
def test_a_queues_server_that_evicts_is_warned_of(make_settings: MakeSettings) -> None:
    """It only delays: no seat is lost with a message."""
    with server("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb") as queue:
        settings = make_settings(broker_url=queue.url())
        (finding,) = check(settings)
        assert (finding.setting, finding.fatal) == ("BROKER_URL", False)
        assert "drops messages" in finding.text
        assert "set maxmemory-policy noeviction, not allkeys-lru" in finding.text
        assert report(settings) == []


def test_a_server_that_state_and_queue_share_is_no_fault(make_settings: MakeSettings) -> None:
    """One of its own would only be faster. What is wrong with the shared one is said once."""
    with server("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb") as shared:
        assert [finding.setting for finding in check(make_settings(redis_url=shared.url()))] == ["REDIS_URL"]


def test_a_queue_that_is_gone_hides_nothing_about_the_state(make_settings: MakeSettings) -> None:
    """Each server is checked by itself."""
    with server("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb") as running:
        state, queue = check(make_settings(redis_url=running.url(), broker_url="unix:///nonexistent/redis.sock"))
    assert (state.setting, state.fatal) == ("REDIS_URL", True)
    assert (queue.setting, queue.fatal) == ("BROKER_URL", False)
    assert "does not answer yet" in queue.text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--databases", "1"], "DB index is out of range"),
        (["--cluster-enabled", "yes"], "is a node of a Redis Cluster"),
    ],
)
def test_a_server_that_cannot_hold_the_queue_is_refused(
    make_settings: MakeSettings, options: list[str], says: str
) -> None:
    """Although nobody has named one for it: it is the state's, and its next database."""
    with server(*options) as running:
        refused = report(make_settings(redis_url=running.url()))
    assert any(says in text for text in refused)


def test_a_sentinel_is_no_server(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers INFO, but with less."""
    told = {"redis_version": "7.2.4", "redis_mode": "sentinel"}
    monkeypatch.setattr(redis.Redis, "info", lambda _: told)
    assert "is a Sentinel" in check(make_settings())[0].text


@one_server
def test_a_server_that_is_too_old_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its version, which managed servers tell too; before Redis 6 by not knowing HELLO."""
    monkeypatch.setattr("reservation.checks.OLDEST", (99, 0))
    assert all(finding.fatal and "6.2 or later" in finding.text for finding in check(settings))

    def refuse(_: redis.Redis) -> None:
        raise redis.ResponseError("unknown command 'HELLO', with args beginning with: '3'")

    monkeypatch.setattr(redis.Redis, "info", refuse)
    assert all(finding.fatal and "too old" in finding.text for finding in check(settings))


def test_a_server_that_is_not_there_yet_is_no_reason_to_stop(make_settings: MakeSettings) -> None:
    """It may be starting."""
    settings = make_settings(redis_url="unix:///nonexistent/redis.sock")
    assert all("does not answer yet" in finding.text for finding in check(settings))
    assert report(settings) == []


def test_a_finding_names_the_setting() -> None:
    """So that who reads it knows which server."""
    assert str(Finding("REDIS_HOST", True, "is old")) == "REDIS_HOST: the server is old"
