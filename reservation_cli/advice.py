"""Settings that are risky, alone or together. What cannot be at all, `settings.load` has refused."""

import resource
from collections.abc import Iterator
from enum import IntEnum
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from reservation.settings import Settings, SettingsError
from reservation_http.sockets import OTHER_FILES
from reservation_http.tokens import Tokens

#: What a process gets to stop before it is killed, seconds: `stop_grace_period` of the compose file, and Kubernetes's
#: default. And what a supervisor of ours adds to what a worker gives itself.
_GRACE_S, _SLACK_S = 30, 3
#: A dead worker's messages are taken over after so long, and what was lost is sent again by then, seconds.
_TAKEN_OVER_S = 5
#: Less than this, seconds, and who has been given a seat hardly has time to pay for it.
_SHORT_HOLD_S = 10


class Level(IntEnum):
    """How much it matters: a warning weakens a promise or only delays, an error keeps something from working."""

    OK = 0
    NOTE = 1
    WARNING = 2
    ERROR = 3


class Advice(NamedTuple):
    """Something that was looked at.

    Attributes:
        about: the setting or part.
        finding: what it is like; if that is not as it should be, with what comes of it.
        remedy: what to change; empty if nothing is to be.
    """

    level: Level
    about: str
    finding: str
    remedy: str = ""


def about_settings(settings: Settings) -> Iterator[Advice]:
    """What is risky about the settings by themselves."""
    yield from _about_access(settings)
    yield from _about_network(settings)
    yield from _about_times(settings)
    yield from _about_files(settings)


def _about_access(settings: Settings) -> Iterator[Advice]:
    production = settings.environment == "production"
    try:
        Tokens.of(settings)
    except SettingsError as error:
        name, _, text = str(error).partition(": ")
        yield Advice(Level.ERROR, name, f"{text}; the API does not start", "see docs/operations.md, On the internet")
    if production and not settings.audit_key.get_secret_value():
        finding = "is empty: who knows a user's UUID can find that user in the change stream"
        yield Advice(Level.WARNING, "AUDIT_KEY", finding, "set 32 random bytes, and keep them")
    if production and not settings.counts_requests:
        finding = "is off in production: one client can keep all others waiting"
        yield Advice(Level.WARNING, "RATE_LIMITS", finding, "set auto")
    if not production and settings.auth_mode == "none" and settings.host not in ("127.0.0.1", "::1", "localhost"):
        finding = f"is {settings.host}, with nobody asked who they are: who reaches it can act for anybody"
        yield Advice(Level.WARNING, "HOST", finding, "set 127.0.0.1, or ENVIRONMENT=production with AUTH_MODE=jwt")


def _about_network(settings: Settings) -> Iterator[Advice]:
    production = settings.environment == "production"
    if any(network.prefixlen == 0 for network in settings.networks):
        finding = "has every address in it: each client chooses the address for which it is counted"
        yield Advice(Level.ERROR, "TRUSTED_PROXIES", finding, "name the balancer's addresses only")
    elif production and not settings.networks:
        finding = "is empty: behind a balancer all clients have its address, and share one limit"
        yield Advice(Level.WARNING, "TRUSTED_PROXIES", finding, "name the balancer's addresses")
    for name, url in servers(settings):
        parts = urlsplit(url)
        if parts.scheme == "unix" or _is_loopback(parts.hostname or ""):
            continue
        level = Level.WARNING if production else Level.NOTE
        if not parts.password and "password=" not in parts.query:
            finding = "has no password: who reaches that server can sell seats and read every holder"
            yield Advice(level, name, finding, "give it one, as in redis://:password@host:6379/0")
        if parts.scheme == "redis":
            finding = "is not encrypted: who sees that network sees every holder"
            yield Advice(Level.NOTE, name, finding, "use rediss://, or a network that nobody else is on")


def _about_times(settings: Settings) -> Iterator[Advice]:
    shortest = min(settings.hold_job_deadline, settings.reserve_job_deadline)
    if settings.retry_max_delay > shortest / 2:
        finding = (
            f"is {settings.retry_max_delay:g} s: a job may be tried once or twice before its deadline of {shortest:g} s"
        )
        yield Advice(Level.WARNING, "RETRY_MAX_DELAY", finding, f"set less than half: {shortest / 2:g} or lower")
    if settings.retry_min_delay > settings.retry_max_delay:
        finding = "is more than RETRY_MAX_DELAY, which then counts from the first"
        yield Advice(Level.WARNING, "RETRY_MIN_DELAY", finding, f"set {settings.retry_max_delay:g} or less")
    for name, deadline in (
        ("HOLD_JOB_DEADLINE", settings.hold_job_deadline),
        ("RESERVE_JOB_DEADLINE", settings.reserve_job_deadline),
    ):
        if deadline <= _TAKEN_OVER_S:
            finding = f"is {deadline:g} s: a killed worker's jobs fail, for that long it takes to notice"
            yield Advice(Level.WARNING, name, finding, "set 10 or more")
    if settings.lock_expiration_time < _SHORT_HOLD_S:
        finding = f"is {settings.lock_expiration_time:g} s: holds may end before their users have reserved"
        yield Advice(Level.WARNING, "LOCK_EXPIRATION_TIME", finding, f"set {_SHORT_HOLD_S} or more")
    if settings.job_result_ttl < settings.lock_expiration_time:
        finding = "is less than LOCK_EXPIRATION_TIME: a client may find its hold's job gone while it has the seat"
        yield Advice(Level.NOTE, "JOB_RESULT_TTL", finding, f"set {settings.lock_expiration_time:g} or more")
    if settings.idempotency_ttl < shortest:
        finding = f"is less than the deadline of {shortest:g} s: a request that is sent again then is another"
        yield Advice(Level.NOTE, "IDEMPOTENCY_TTL", finding, f"set {shortest:g} or more")
    if settings.worker_shutdown_timeout + _SLACK_S > _GRACE_S:
        timeout = f"is {settings.worker_shutdown_timeout:g} s"
        finding = f"{timeout}, of {_GRACE_S} s that compose and Kubernetes give a process to stop: it is killed at work"
        remedy = f"set {_GRACE_S - _SLACK_S} or less, or a longer stop_grace_period"
        yield Advice(Level.WARNING, "WORKER_SHUTDOWN_TIMEOUT", finding, remedy)


def _about_files(settings: Settings) -> Iterator[Advice]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.connection_limit + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        finding = f"needs {needed:,} open files, of which a process here may have {hard:,}: it takes fewer connections"
        yield Advice(Level.WARNING, "CONNECTION_LIMIT", finding, "raise ulimit -Hn (systemd: LimitNOFILE), or set less")


def servers(settings: Settings) -> list[tuple[str, str]]:
    """The servers in use, each once, by the setting that names it."""
    state = "REDIS_URL" if settings.redis_url else "REDIS_HOST"
    both = [(state, settings.state_url)]
    return [*both, ("BROKER_URL", settings.broker_url)] if settings.broker_url else both


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
