"""Settings that are risky, each found and with its remedy; and none that are not."""

import resource
from collections.abc import Callable

import pytest

from reservation.settings import Settings
from reservation_cli.advice import Advice, Level, about_settings
from tests.web import JWT

PRODUCTION = {**JWT, "environment": "production", "audit_key": 32 * "k", "trusted_proxies": "10.0.0.0/8"}


def _advice(**values: object) -> list[Advice]:
    settings = Settings(_env_file=None, **{"redis_url": "unix:///run/redis.sock", **values})  # type: ignore[call-arg, arg-type]  # pydantic-settings takes more than mypy sees
    return list(about_settings(settings))


@pytest.mark.parametrize("values", [{}, PRODUCTION, {"redis_url": "redis://127.0.0.1:6379"}])
def test_sound_settings_need_no_advice(values: dict[str, object]) -> None:
    """In development as they are, and in production as the documentation has them."""
    assert _advice(**values) == []


@pytest.mark.parametrize(
    ("about", "level", "values"),
    [
        ("AUTH_MODE", Level.ERROR, {**PRODUCTION, "auth_mode": "none"}),
        ("AUDIT_KEY", Level.WARNING, {**PRODUCTION, "audit_key": ""}),
        ("RATE_LIMITS", Level.WARNING, {**PRODUCTION, "rate_limits": "off"}),
        ("TRUSTED_PROXIES", Level.WARNING, {**PRODUCTION, "trusted_proxies": ""}),
        ("TRUSTED_PROXIES", Level.ERROR, {"trusted_proxies": "10.0.0.0/8, 0.0.0.0/0"}),
        ("TRUSTED_PROXIES", Level.ERROR, {**PRODUCTION, "trusted_proxies": "::/0"}),
        ("HOST", Level.WARNING, {"host": "0.0.0.0"}),  # noqa: S104 - binds nothing
        ("REDIS_URL", Level.WARNING, {**PRODUCTION, "redis_url": "rediss://state.example"}),
        ("REDIS_URL", Level.NOTE, {"redis_url": "redis://state.example"}),
        ("REDIS_URL", Level.NOTE, {**PRODUCTION, "redis_url": "redis://:secret@10.0.0.7"}),
        ("BROKER_URL", Level.WARNING, {**PRODUCTION, "broker_url": "rediss://queue.example"}),
        ("RETRY_MAX_DELAY", Level.WARNING, {"retry_max_delay": 20}),
        ("RETRY_MIN_DELAY", Level.WARNING, {"retry_min_delay": 6}),
        ("HOLD_JOB_DEADLINE", Level.WARNING, {"hold_job_deadline": 5, "retry_max_delay": 1}),
        ("RESERVE_JOB_DEADLINE", Level.WARNING, {"reserve_job_deadline": 5, "retry_max_delay": 1}),
        ("LOCK_EXPIRATION_TIME", Level.WARNING, {"lock_expiration_time": 9}),
        ("JOB_RESULT_TTL", Level.NOTE, {"job_result_ttl": 30}),
        ("IDEMPOTENCY_TTL", Level.NOTE, {"idempotency_ttl": 20}),
        ("WORKER_SHUTDOWN_TIMEOUT", Level.WARNING, {"worker_shutdown_timeout": 28}),
    ],
)
def test_what_is_risky_is_said(about: str, level: Level, values: dict[str, object]) -> None:
    """With what to do, and nothing else beside it."""
    advice = _advice(**values)
    assert {one.about for one in advice} == {about}
    assert max(one.level for one in advice) == level
    for one in advice:
        assert one.remedy
        assert "secret" not in one.finding


@pytest.mark.parametrize(
    "values",
    [
        {**PRODUCTION, "redis_url": "rediss://:secret@state.example"},
        {**PRODUCTION, "redis_url": "rediss://state.example?password=secret"},
        {**JWT, "host": "0.0.0.0"},  # noqa: S104 - binds nothing
        {"worker_shutdown_timeout": 27},
    ],
)
def test_what_is_close_to_risky_is_not(values: dict[str, object]) -> None:
    """A password, tokens, time enough."""
    assert _advice(**values) == []


def test_more_connections_than_files_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what a process may have at most, for it raises its own limit."""
    limits: Callable[[int], tuple[int, int]] = lambda _: (256, 1_000)  # noqa: E731 - a stand-in
    monkeypatch.setattr(resource, "getrlimit", limits)
    assert [one.about for one in _advice()] == ["CONNECTION_LIMIT"]
    assert _advice(connection_limit=800) == []
