"""What a Redis must be like for this service to keep its promises, checked at the start.

What would break a promise refuses the start; what weakens one, or only delays, is a warning. Each says
what to do.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import redis
import structlog

from reservation import urls
from reservation.clients import is_transient
from reservation.connections import connect
from reservation.settings import Settings

log = structlog.get_logger()

#: What is wrong with a server of which this is INFO: whether that is fatal, and a text.
About = Callable[[redis.Redis, Mapping[str, Any]], Iterable[tuple[bool, str]]]

#: The password of docker-compose.yml where none is set: everybody can read it there.
PUBLIC_PASSWORD = "development"  # noqa: S105 - it is no secret, which is the point
#: Oldest server that has every command the scripts use (SET PXAT, XADD MINID).
OLDEST = (6, 2)
#: What is lost when the host fails, by `appendfsync`.
_LOST = {"everysec": "the last second", "no": "what its system had not written, half a minute or more"}


class Finding(NamedTuple):
    """Something about a server that is not as it should be.

    Attributes:
        setting: which server, by the setting that names it.
        fatal: whether the service must not run on it.
        text: what is wrong, what comes of it, and the remedy.
    """

    setting: str
    fatal: bool
    text: str

    def __str__(self) -> str:
        return f"{self.setting}: the server {self.text}"


def report(settings: Settings) -> list[str]:
    """Logs what weakens a promise; returns what breaks one. Raises SettingsError if no server is named."""
    findings = check(settings)
    for finding in findings:
        if not finding.fatal:
            log.warning("check", finding=str(finding))
    return [str(finding) for finding in findings if finding.fatal]


def check(settings: Settings) -> list[Finding]:
    """What is wrong with the servers of these settings, each by itself. Raises SettingsError if none is named."""
    state, queue = "REDIS_URL" if settings.redis_url else "REDIS_HOST", "BROKER_URL"
    return [
        *_check_password(state, settings.state_url, settings),
        *_check_server(state, settings.state_url, _about_state),
        *(_check_password(queue, settings.queue_url, settings) if settings.broker_url else ()),
        # About a server that it shares with the state, the state has said the rest.
        *_check_server(queue, settings.queue_url, _about_queue if settings.broker_url else _about_any),
    ]


def _check_password(setting: str, url: str, settings: Settings) -> Iterator[Finding]:
    if settings.environment == "production" and urls.parse(url).options.get("password") == PUBLIC_PASSWORD:
        yield Finding(
            setting, True, "has the password that everybody can read in docker-compose.yml; set REDIS_PASSWORD"
        )


def _check_server(setting: str, url: str, about: About) -> list[Finding]:
    servers = connect(url, connections=1)
    try:
        return [finding for client in servers.primaries() for finding in _check_one(setting, url, client, about)]
    except redis.RedisError as error:  # it is a cluster of which no node answers
        return [Finding(setting, *_refusal(error))]
    finally:
        servers.close()


def _check_one(setting: str, url: str, client: redis.Redis, about: About) -> list[Finding]:
    try:
        info: Mapping[str, Any] = client.info()
        found = list(about(client, info))
        if urls.parse(url).kind != "cluster":
            if info.get("cluster_enabled"):
                found.append((True, "is a node of a Redis Cluster; name it as redis+cluster://host:port"))
            return [Finding(setting, *each) for each in found]
        node = "{host}:{port}".format(**client.get_connection_kwargs())
        return [Finding(f"{setting} ({node})", *each) for each in (*found, *_about_node(client, info))]
    except redis.RedisError as error:
        return [Finding(setting, *_refusal(error))]


def _refusal(error: redis.RedisError) -> tuple[bool, str]:
    """What it means that a server does not answer INFO."""
    said = str(error)
    if isinstance(error, redis.AuthenticationError):
        return True, f"lets nobody in with that user and password ({said}); set those it knows"
    if is_transient(error):  # it may be starting
        return False, f"does not answer yet ({said}), and was not checked"
    if isinstance(error, redis.exceptions.NoPermissionError) or "'INFO'" in said.upper():
        return False, f"does not answer INFO ({said}), so nothing about it can be checked"
    if "HELLO" in said:
        return True, f"is too old ({said}); Redis 6.2 or later, or Valkey, is needed"
    # Protected mode, a database that it does not have, and whatever else it says to everything.
    return True, f"refuses us: {said}"


def _about_any(_: redis.Redis, info: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers and numbers < OLDEST:
        yield True, f"is version {version}; Redis 6.2 or later, or Valkey, is needed"
    if info.get("redis_mode") == "sentinel":
        yield True, "is a Sentinel, which keeps no data; name it as redis+sentinel://host:port/service"
    if info.get("role", "master") != "master":
        yield True, "is a replica, which takes no writes; name its primary"


def _about_node(client: redis.Redis, info: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """What matters of one node of a cluster."""
    if _config(client, "cluster-require-full-coverage") == "yes":
        text = "sells nothing, of no event, while any part of the cluster is gone"
        yield False, f"{text}; set cluster-require-full-coverage no"
    if not info.get("connected_slaves"):
        yield False, "has no replica: while it is gone, its events cannot be sold; give it one"


def _about_queue(client: redis.Redis, info: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """It need keep nothing on disk: the ledger knows every job."""
    yield from _about_any(client, info)
    if (policy := _policy(info)) != "noeviction":
        text = "drops messages when it reaches its maxmemory, and their jobs wait until they are sent again"
        yield False, f"{text}; set maxmemory-policy noeviction, not {policy}"


def _about_state(client: redis.Redis, info: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    yield from _about_any(client, info)
    policy = _policy(info)
    if policy != "noeviction" and info.get("maxmemory"):
        yield True, f"drops seats, holds and jobs when it is full; set maxmemory-policy noeviction, not {policy}"
    elif policy != "noeviction":
        yield False, f"would drop seats if it had a maxmemory; set maxmemory-policy noeviction, not {policy}"
    fsync = _config(client, "appendfsync")
    if not info.get("aof_enabled"):
        yield False, "forgets what was sold when it restarts; set appendonly yes"
    elif fsync in _LOST:
        text = f"forgets {_LOST[fsync]} when its host fails, and what was sold then can be sold again"
        yield False, f"{text}; set appendfsync always, not {fsync}"
    flags = _config(client, "notify-keyspace-events")
    if flags is not None and not ("K" in flags and {"x", "A"} & set(flags)):
        text = "does not announce expiries: seats are written back at the sweeper's next pass, not at once"
        yield False, f"{text}; set notify-keyspace-events Kx, not {flags!r}"
    if fsync is None or flags is None:  # managed servers do that
        yield False, "refuses CONFIG GET; see to it that it has appendfsync always and notify-keyspace-events Kx"


def _policy(info: Mapping[str, Any]) -> str:
    return str(info.get("maxmemory_policy", "noeviction"))


def _config(client: redis.Redis, name: str) -> str | None:
    """A setting of the server; None if it does not tell."""
    try:
        values: Mapping[Any, Any] = client.config_get(name)
    except redis.ResponseError:
        return None
    return None if name not in values else str(values[name])
