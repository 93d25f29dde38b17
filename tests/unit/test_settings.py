"""Settings: documented whole, and a bad one stops the start with its name."""

from pathlib import Path

import pytest
import yaml

from reservation import settings
from reservation.settings import Settings, SettingsError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_env_example_has_every_setting_with_its_default() -> None:
    """Copied as it is, .env.example changes nothing."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    named = {line.partition("=")[0].lower() for line in lines if line and not line.startswith("#")}
    assert named == set(Settings.model_fields)
    assert Settings(_env_file=ROOT / ".env.example") == Settings()  # type: ignore[call-arg]  # pydantic-settings' own


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "http"),
        ("MAX_HELD_SEATS", "0"),
        ("MAX_HELD_SEATS", "six"),
        ("LOCK_EXPIRATION_TIME", "-1"),
        ("LOCK_EXPIRATION_TIME", "nan"),
        ("LOCK_EXPIRATION_TIME", "inf"),
        ("LOCK_EXPIRATION_TIME", "0.0001"),
        ("LOCK_EXPIRATION_TIME", "1e16"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://h:port/0"),
        ("REDIS_URL", "redis://h/x"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://h,g/0"),
        ("REDIS_URL", "redis+cluster://h:7000/1"),
        ("REDIS_URL", "redis+cluster://h:7000,"),
        ("REDIS_URL", "redis+sentinel://h:26379"),
        ("REDIS_URL", "redis+replica://h"),
        ("REDIS_HOST", "redis://localhost"),
        ("LOG_LEVEL", "loud"),
        ("WORKER_THREADS", "0"),
    ],
)
def test_a_bad_value_is_named_in_one_line(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line starts with the variable and repeats the value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        settings.load()
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{name}: ")
    assert value in line


def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the settings' text nor in a log."""
    monkeypatch.setenv("AUDIT_KEY", "open sesame")
    assert "open sesame" not in repr(settings.load())


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@host",
        "redis://:p@hunter2@host:x",
        "redis://h/x?password=hunter2&db=x",
        "redis+sentinel://h/seats/x?sentinel_password=hunter2",
        "rediss://h/x?ssl_password=hunter2#",
        # As it is rather than percent-encoded, by somebody who does not know.
        "redis://default:hunter2?x@h:6379/0",
        "redis://default:hunter2#x@h:6379/0",
        "redis://default:hunter2/x@h:6379/0",
        "redis+cluster://default:hunter2?x@h:6379,g",
    ],
)
def test_a_password_is_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the error about its URL, and not where the URL is shown."""
    assert "hunter2" not in settings.masked(url)
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError) as error:
        settings.load()
    assert "hunter2" not in str(error.value)


def test_a_hold_lasts_ten_times_as_long_at_most() -> None:
    """Unless it is set, and never less than once."""
    assert settings.load(lock_expiration_time=60).max_hold_ms == 600_000
    assert settings.load(lock_expiration_time=60, max_hold_time=60).max_hold_ms == 60_000
    with pytest.raises(SettingsError, match="MAX_HOLD_TIME"):
        settings.load(lock_expiration_time=60, max_hold_time=59)


def test_a_queue_without_a_state_is_refused() -> None:
    """Rather than ignored for a server of one's own."""
    with pytest.raises(SettingsError, match="BROKER_URL"):
        settings.load(broker_url="redis://h/1")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the file over the default."""
    (tmp_path / ".env").write_text("PORT=4000\nMAX_HELD_SEATS=3\n")
    monkeypatch.setenv("PORT", "5000")
    loaded = settings.load()
    assert (loaded.port, loaded.max_held_seats) == (5000, 3)


@pytest.mark.parametrize(
    ("state", "queue"),
    [
        ("redis://host:6380/0", "redis://host:6380/1"),
        ("redis://host", "redis://host/1"),
        ("redis://host/4", "redis://host/5"),
        ("redis://host/15", "redis://host/14"),
        ("rediss://:pw@host/3?ssl_cert_reqs=none", "rediss://:pw@host/4?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=1"),
    ],
)
def test_the_queue_is_in_the_next_database_unless_named(state: str, queue: str) -> None:
    """Of the same server, with everything else of its URL: two services do not share a queue by default."""
    assert settings.load(redis_url=state).queue_url == queue


@pytest.mark.parametrize(
    ("state", "queue"),
    [
        ("redis://h/0", "redis://h/0"),
        ("redis://h", "redis://h:6379/0"),
        ("redis://h/2", "redis://h?db=2"),
        ("redis://h/0?db=1", "redis://h/1"),
        ("redis://:pw@h/0", "redis://H:6379"),
        ("unix:///a.sock", "unix:///a.sock?db=0"),
    ],
)
def test_queue_and_state_may_not_share_a_database(state: str, queue: str) -> None:
    """However it is spelled: Dramatiq's maintenance looks through all keys of its database."""
    with pytest.raises(SettingsError, match="BROKER_URL"):
        settings.load(redis_url=state, broker_url=queue)


def test_redis_host_stands_in_for_redis_url() -> None:
    """The original's names still work."""
    assert settings.load(redis_host="db", redis_port=6380).state_url == "redis://db:6380/0"
    assert settings.load(redis_host="::1").state_url == "redis://[::1]:6379/0"


def test_without_a_server_there_is_a_clear_error() -> None:
    """Only `up` starts one of its own."""
    loaded = settings.load()
    assert loaded.embedded
    with pytest.raises(SettingsError, match="REDIS_URL"):
        _ = loaded.state_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("0.0.0.0", "http://127.0.0.1:3000"),  # noqa: S104 - binds nothing
        ("::", "http://[::1]:3000"),
    ],
)
def test_the_api_is_reached_where_it_listens(host: str, url: str) -> None:
    """Every interface includes the loopback one."""
    assert settings.load(host=host).api_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_limit_user", "many"),
        ("rate_limit_user", "0/minute"),
        ("rate_limit_jobs", "-1/minute"),
        ("rate_limit_events", "5/minute;6/hour"),
        ("rate_limit_address", "5/fortnight"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "proxy.example"),
        ("cors_origins", "tickets.example"),
        ("cors_origins", "https://tickets.example/"),
        ("cors_origins", "https://*.example"),
        ("cors_origins", "*, https://tickets.example"),
        ("cors_origins", "null"),
        ("environment", "prod"),
        ("auth_mode", "basic"),
        ("jwt_algorithm", "none"),
    ],
)
def test_what_cannot_be_is_named(name: str, value: str) -> None:
    """Rather than left for the first request that it is about."""
    with pytest.raises(SettingsError, match=f"^{name.upper()}: "):
        settings.load(**{name: value})


def test_requests_are_counted_in_production() -> None:
    """Or where it is said, or not."""
    assert not settings.load().counts_requests
    assert settings.load(environment="production").counts_requests
    assert settings.load(rate_limits="on").counts_requests
    assert not settings.load(environment="production", rate_limits="off").counts_requests


@pytest.mark.parametrize(
    ("state", "queue", "counted"),
    [
        ("redis://h/0", None, "redis://h/2"),
        ("redis://h/14", None, "redis://h/0"),
        ("redis://h/0", "redis://q/0", "redis://q/1"),
        ("redis://h/1", "redis://h/0", "redis://h/2"),
        ("redis://h/0", "redis://q/15", "redis://q/0"),
        ("unix:///a.sock?db=0", None, "unix:///a.sock?db=2"),
    ],
)
def test_requests_are_counted_where_nothing_else_is(state: str, queue: str | None, counted: str) -> None:
    """Neither the queue's maintenance nor the state's disk has to do with them."""
    assert settings.load(redis_url=state, broker_url=queue).limits_url == counted


def test_lists_in_settings() -> None:
    """Separated by commas, with or without spaces."""
    loaded = settings.load(cors_origins="https://a.example, http://localhost:5173", trusted_proxies="10.0.0.0/8,::1")
    assert loaded.origins == ["https://a.example", "http://localhost:5173"]
    assert [str(network) for network in loaded.networks] == ["10.0.0.0/8", "::1/128"]
    assert settings.load(cors_origins="*").origins == ["*"]


def test_every_setting_reaches_the_containers() -> None:
    """But for those that compose decides itself."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    given = {name for name in compose["x-service"]["environment"] if not name.startswith("OTEL_")}
    own = {"REDIS_HOST", "REDIS_PORT", "HOST", "PORT", "HEARTBEAT_FILE", "LOG_DIR", "VAR_DIR"}
    assert given == {name.upper() for name in settings.Settings.model_fields} - own
