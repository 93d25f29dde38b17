"""`reservation doctor`: looks at a deployment, and says what to change."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import click
import httpx
import redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reservation import checks
from reservation.connections import connect
from reservation.errors import StateUnavailable
from reservation.settings import Settings
from reservation.store import Store
from reservation_cli.advice import Advice, Level, about_settings, servers
from reservation_cli.status import Health, Watch

#: A round trip, ms, from which on it is worth a word: each request waits for one or two.
_FAR_MS = 5.0
#: Most that clocks may be apart, ms.
_APART_MS = 2_000
#: How full something may be.
_FULL, _NEARLY = 0.95, 0.8


def examine(settings: Settings, url: str | None) -> list[Advice]:
    """All that was looked at.

    Arguments:
        url: where the API is, if it is to be asked how it is.
    """
    found = list(about_settings(settings))
    limits = "on" if settings.counts_requests else "off"
    facts = f"{settings.environment}, AUTH_MODE={settings.auth_mode}, rate limits {limits}"
    found.insert(0, Advice(Level.OK, "settings", facts))
    for name, server in servers(settings):
        found += _about_server(name, server, settings)
    found += _about_checks(settings)
    found += _about_service(settings)
    if url is not None:
        found.append(_about_api(url))
    return found


def _about_checks(settings: Settings) -> Iterator[Advice]:
    """What each part of the service looks at when it starts."""
    for finding in checks.check(settings):
        if "does not answer yet" in finding.text:
            continue  # said by _about_server
        text, _, remedy = finding.text.rpartition("; ")
        level = Level.ERROR if finding.fatal else Level.WARNING
        yield Advice(level, finding.setting, f"the server {text or remedy}", remedy if text else "")


def _about_server(name: str, url: str, settings: Settings) -> Iterator[Advice]:
    found = connect(url, connections=1)
    try:
        primaries = found.primaries()
    except redis.RedisError as error:
        yield Advice(Level.ERROR, name, f"the server does not answer: {error}", "start it, or name another")
        return
    for client in primaries:
        where = client.get_connection_kwargs()
        yield from _about_one(f"{name} ({where['host']}:{where['port']})" if found.many else name, client, settings)
    found.close()


def _about_one(name: str, client: redis.Redis, settings: Settings) -> Iterator[Advice]:
    try:
        took_ms = statistics.median(_ping_ms(client) for _ in range(5))
        info: Mapping[str, Any] = client.info()
        apart_ms = _apart_ms(client)
    except redis.RedisError as error:
        yield Advice(Level.ERROR, name, f"the server does not answer: {error}", "start it, or name another")
        return
    software = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version", info.get("redis_version", "of unknown version"))
    memory = info.get("used_memory_human", "?")
    yield Advice(Level.OK, name, f"{software} {version}, round trip {took_ms:.1f} ms, {memory} of memory")
    if took_ms > _FAR_MS:
        finding = f"the server is {took_ms:.1f} ms away: each request waits for that once or twice"
        yield Advice(Level.WARNING, name, finding, "put it nearer, or look at what else its host does")
    if apart_ms > _APART_MS:
        finding = (
            f"its clock and this host's are {apart_ms / 1000:.1f} s apart: tokens go by the one, holds by the other"
        )
        yield Advice(Level.WARNING, name, finding, "let both hosts' clocks be set by NTP")
    yield from about_info(name, info, settings)


def about_info(name: str, info: Mapping[str, Any], settings: Settings) -> Iterator[Advice]:
    """What a server says about its memory, disk and connections.

    Arguments:
        info: its answer to INFO.
    """
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most and used > _NEARLY * most:
        level = Level.ERROR if used > _FULL * most else Level.WARNING
        finding = f"the server's memory is {used / most:.0%} full: at 100 % it refuses holds and reservations"
        yield Advice(level, name, finding, "raise maxmemory, or delete events that are over")
    if not most and settings.environment == "production":
        finding = "the server has no maxmemory: when its host's memory is used up, its kernel kills it"
        yield Advice(Level.NOTE, name, finding, "set maxmemory to some less than the host has")
    if info.get("loading"):
        yield Advice(Level.ERROR, name, "the server is still reading its file, and answers nobody", "wait")
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        finding = "the server could not write its append-only file: it refuses all that changes anything"
        yield Advice(Level.ERROR, name, finding, "look at its log, and whether its disk is full")
    for field, what in (("aof_last_bgrewrite_status", "append-only file anew"), ("rdb_last_bgsave_status", "snapshot")):
        if info.get(field, "ok") != "ok":
            finding = f"the server could not write its {what} the last time: its disk or memory may be full"
            yield Advice(Level.WARNING, name, finding, "look at its log; vm.overcommit_memory=1 lets it fork")
    clients, most_clients = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    if most_clients and clients > _NEARLY * most_clients:
        finding = f"the server has {clients:,} of at most {most_clients:,} connections: those beyond are refused"
        yield Advice(Level.WARNING, name, finding, "raise maxclients and its limit of open files")


def _about_service(settings: Settings) -> Iterator[Advice]:
    reading = Watch(settings, top=0).read()
    if reading.health == Health.UNAVAILABLE:
        yield Advice(Level.ERROR, "service", "what runs cannot be told without the state's server", "see above")
        return
    try:
        versions = Store.connect(settings, connections=1).fleet.versions()
    except StateUnavailable:
        versions = Counter()
    which = ", ".join(f"{count} of {version}" for version, count in sorted(versions.items())) or "none"
    facts = (
        f"workers {reading.workers}, sweepers {reading.sweepers} (versions: {which}); open jobs {reading.open_jobs:,}"
    )
    oldest = f", the oldest {reading.oldest_ms / 1000:.1f} s old" if reading.open_jobs else ""
    yield Advice(Level.OK, "service", facts + oldest)
    if not reading.workers:
        yield Advice(
            Level.ERROR, "workers", "none is alive: every job fails at its deadline", "start `reservation worker`"
        )
    if not reading.sweepers:
        finding = "none is alive: messages that got lost are not sent again, and late jobs are not ended"
        yield Advice(Level.ERROR, "sweepers", finding, "start `reservation sweeper`")
    elif reading.sweepers == 1 and settings.environment == "production":
        yield Advice(Level.NOTE, "sweepers", "there is one, and nobody when it fails", "start two")
    if reading.senders == 0:
        finding = "none is alive that sends them: nobody is told anything until one is"
        yield Advice(Level.ERROR, "webhooks", finding, "start `reservation webhooks`, or set WEBHOOKS=off")
    if len(versions) > 1:
        finding = f"processes of several versions run ({which})"
        yield Advice(Level.NOTE, "versions", finding, "end the upgrade: docs/operations.md, Upgrading")
    yield from about_backlog(reading.waiting, reading.lag_ms, reading.oldest_ms, settings)


def about_backlog(waiting: int | None, lag_ms: int, oldest_ms: int, settings: Settings) -> Iterator[Advice]:
    """Whether workers keep up.

    Arguments:
        waiting: messages in the queue; None if that is not known.
        lag_ms: how long jobs wait before a worker starts them.
        oldest_ms: age of the oldest open job.
    """
    deadline_ms = 1000 * min(settings.hold_job_deadline, settings.reserve_job_deadline)
    for what, ms in (("jobs wait {} s for a worker", lag_ms), ("the oldest job is {} s old", oldest_ms)):
        if ms > deadline_ms / 2:
            level = Level.ERROR if ms > deadline_ms else Level.WARNING
            finding = f"{what.format(f'{ms / 1000:.1f}')}: at {deadline_ms / 1000:g} s holds fail"
            yield Advice(level, "backlog", finding, "start more workers, or find out what keeps them")
    if waiting is not None and waiting > _NEARLY * settings.max_queued_messages:
        finding = (
            f"{waiting:,} messages wait: at MAX_QUEUED_MESSAGES ({settings.max_queued_messages:,}) holds are refused"
        )
        yield Advice(Level.WARNING, "backlog", finding, "start more workers")


def _about_api(url: str) -> Advice:
    ready = f"{url.rstrip('/')}/health/ready"
    try:
        # As the balancer asks, whatever proxy this shell is set to use.
        answer = httpx.get(ready, timeout=5, trust_env=False)
        said = answer.json()
        status = str(said["status"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        return Advice(
            Level.ERROR, "API", f"{ready} does not answer as it should: {error}", "see its log, or mend the URL"
        )
    shown = ", ".join(f"{name} {value}" for name, value in said.items() if name != "status")
    level = {"ready": Level.OK, "degraded": Level.WARNING}.get(status, Level.ERROR)
    return Advice(level, "API", f"{status}: {shown}", "" if level == Level.OK else "see what is down above")


def _ping_ms(client: redis.Redis) -> float:
    began = time.perf_counter()
    client.ping()
    return (time.perf_counter() - began) * 1e3


def _apart_ms(client: redis.Redis) -> float:
    """How far the server's clock and this host's are apart, what the question took aside."""
    before = time.time()
    seconds, micros = client.time()
    after = time.time()
    there = seconds + micros / 1e6
    return max(0.0, before - there, there - after) * 1e3


_COLOURS = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.ERROR: "red"}


def run(settings: Settings, url: str | None, *, as_json: bool) -> int:
    """Says what was found; returns the exit status."""
    found = examine(settings, url)
    worst = max(advice.level for advice in found)
    if as_json:
        findings = [{**advice._asdict(), "level": advice.level.name.lower()} for advice in found]
        click.echo(json.dumps({"worst": worst.name.lower(), "findings": findings}))
        return int(worst == Level.ERROR)
    table = Table(box=None, show_header=False, pad_edge=False)
    for advice in sorted(found, key=lambda advice: -advice.level):
        text = advice.finding + (f"\n→ {advice.remedy}" if advice.remedy else "")
        table.add_row(Text(advice.level.name.lower(), style=_COLOURS[advice.level]), Text(advice.about), Text(text))
    console = Console()
    console.print(table)
    if worst < Level.WARNING:
        console.print("Nothing has to be changed.")
    return int(worst == Level.ERROR)
