"""What is said of a server that is not as it should be, on servers that are not."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from reservation.checks import Finding, check, report
from reservation.embedded import EmbeddedRedis
from reservation.settings import Settings

MakeSettings = Callable[..., Settings]


@contextmanager
def server(*options: str) -> Iterator[EmbeddedRedis]:
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder), options) as running:
        yield running


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
        (finding,) = check(settings)
        assert (finding.setting, finding.fatal) == ("REDIS_URL", fatal)
        assert says in finding.text
        assert remedy in finding.text
        assert report(settings) == ([str(finding)] if fatal else [])


def test_a_password_that_is_wrong_refuses_the_start(make_settings: MakeSettings) -> None:
    """It does not pass by itself, as a server that is not there may."""
    with server() as running, redis.Redis.from_url(running.url()) as admin:
        admin.config_set("requirepass", "secret")
        settings = make_settings(redis_url=running.url())
        (finding,) = check(settings)
        assert finding.fatal
        assert "user and password" in finding.text
        assert report(settings) == [str(finding)]


@pytest.mark.parametrize("flags", ["Kx", "AKE", "KEx"])
def test_more_notifications_than_needed_are_fine(make_settings: MakeSettings, flags: str) -> None:
    """Others may want them."""
    with server("--notify-keyspace-events", flags) as running:
        assert check(make_settings(redis_url=running.url())) == []


def test_the_queues_server_may_forget_but_not_evict(make_settings: MakeSettings, redis_server: EmbeddedRedis) -> None:
    """The ledger knows every job; a queue that lost some is filled again."""
    with server("--appendonly", "no", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb") as queue:
        (finding,) = check(make_settings(broker_url=queue.url()))
    assert (finding.setting, finding.fatal) == ("BROKER_URL", True)


def test_a_server_that_is_too_old_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its version, which managed servers tell too."""
    monkeypatch.setattr("reservation.checks.OLDEST", (99, 0))
    (finding,) = check(settings)
    assert finding.fatal
    assert "6.2 or later" in finding.text


def test_a_server_that_is_not_there_yet_is_no_reason_to_stop(make_settings: MakeSettings) -> None:
    """It may be starting."""
    settings = make_settings(redis_url="unix:///nonexistent/redis.sock")
    with pytest.raises(redis.ConnectionError):
        check(settings)
    assert report(settings) == []


def test_a_finding_names_the_setting() -> None:
    """So that who reads it knows which server."""
    assert str(Finding("REDIS_HOST", True, "is old")) == "REDIS_HOST: the server is old"
