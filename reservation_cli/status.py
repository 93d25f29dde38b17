"""`reservation status`: what the service is doing, from what its Redis servers say."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Literal

import click
import redis
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.queue import Queue
from reservation.errors import StateUnavailable
from reservation.overview import EventReport, Overview
from reservation.settings import Settings, masked
from reservation.store import Store

#: Most active events that a reading looks at, those that were touched last: each costs Redis about 10 µs.
MOST_EVENTS = 10_000


class Health(IntEnum):
    """How the service is, as `/health/ready` has it; and the exit status of `--once`."""

    READY = 0
    DEGRADED = 1
    UNAVAILABLE = 2


@dataclass(frozen=True)
class Busy:
    """One of the events that have most going on.

    Attributes:
        rate: its jobs that end in a second; None if it was not seen before.
    """

    id: str
    name: str
    open_jobs: int
    holds: int
    rate: float | None


@dataclass(frozen=True)
class Reading:
    """What was found at a time. Counts of events that were not looked at are missing in `open_jobs` and the like.

    Attributes:
        state: whether its server answers; `state_ms`: how long a round trip to it took.
        queue: whether its server takes messages; `waiting`: messages in it; `vip_waiting`: of VIP jobs.
        senders: processes that send webhooks; None where the service sends none.
        lag_ms: how long jobs wait before a worker starts them; `vip_lag_ms`: VIP jobs.
        active: events that may have open jobs or holds; `looked_at`: how many of them at most.
        later: open jobs whose time has not come; `oldest_ms`: age of the oldest of the others.
        rate: jobs that end in a second; None until there are two readings.
        problems: what is missing, in words.
    """

    at: str
    state: Literal["up", "down"] = "down"
    state_ms: float | None = None
    queue: Literal["up", "down"] = "down"
    waiting: int | None = None
    vip_waiting: int | None = None
    workers: int = 0
    sweepers: int = 0
    senders: int | None = None
    lag_ms: int = 0
    vip_lag_ms: int = 0
    events: int = 0
    active: int = 0
    looked_at: int = MOST_EVENTS
    open_jobs: int = 0
    later: int = 0
    holds: int = 0
    due: int = 0
    oldest_ms: int = 0
    rate: float | None = None
    busiest: list[Busy] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def health(self) -> Health:
        if self.state == "down":
            return Health.UNAVAILABLE
        return Health.DEGRADED if self.problems else Health.READY

    def as_json(self) -> str:
        return json.dumps({"status": self.health.name.lower(), **asdict(self)})


class Watch:
    """Takes readings, and knows the last one's numbers.

    Arguments:
        settings: that name the servers.
        top: of how many events readings tell.
        most: most active events that a reading looks at.
        clock: seconds, for rates.
    """

    def __init__(
        self, settings: Settings, top: int, most: int = MOST_EVENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = Store.connect(settings, connections=2)
        self._queue = Queue.connect(settings, self._store, connections=2)
        self._has_webhooks = settings.webhooks == "on"
        self._overview = Overview(self._store.scripts)
        self._top, self._most, self._clock = top, most, clock
        self._before: dict[str, EventReport] = {}
        self._read_at: float | None = None

    def read(self) -> Reading:
        """What there is to see now, whatever can be reached."""
        reading = Reading(datetime.now(UTC).isoformat(timespec="milliseconds"), looked_at=self._most)
        reading = self._look_at_queue(reading)
        try:
            return self._look_at_state(reading)
        except (StateUnavailable, redis.RedisError) as error:
            self._read_at = None  # a rate over an outage says nothing
            return replace(reading, problems=[*reading.problems, f"state unreachable: {error.__cause__ or error}"])

    def _look_at_queue(self, reading: Reading) -> Reading:
        try:
            reading = replace(reading, waiting=self._queue.depth(), vip_waiting=self._queue.depth(vip=True))
        except redis.RedisError as error:
            return replace(reading, problems=[f"queue unreachable: {error}"])
        if not self._queue.reachable():
            return replace(reading, problems=["queue takes no messages"])
        return replace(reading, queue="up")

    def _look_at_state(self, reading: Reading) -> Reading:
        began = time.perf_counter()
        fleet = self._store.fleet.load()
        senders = self._store.fleet.senders() if self._has_webhooks else None
        took_ms = (time.perf_counter() - began) * 1e3
        active = self._overview.active(self._most)
        # One that had open jobs may have become idle since, and its last ones count.
        busy = [e for e, report in self._before.items() if report.open_jobs]
        now = self._clock()
        reports = self._overview.report(dict.fromkeys([*active, *busy]))
        problems = list(reading.problems)
        for role, alive in (("worker", fleet.workers), ("sweeper", fleet.sweepers)):
            if not alive:
                problems.append(
                    f"no {role}: " + ("no job is carried out" if role == "worker" else "nothing is sent again")
                )
        if senders == 0:
            problems.append("no sender of webhooks: nobody is told anything")
        rates = self._rates(reports, now)
        reading = replace(
            reading,
            state="up",
            state_ms=round(took_ms, 2),
            workers=fleet.workers,
            sweepers=fleet.sweepers,
            senders=senders,
            lag_ms=fleet.lag_ms,
            vip_lag_ms=fleet.vip_lag_ms,
            events=self._overview.events(),
            active=len(active),
            open_jobs=sum(r.open_jobs for r in reports),
            later=sum(r.later for r in reports),
            holds=sum(r.holds for r in reports),
            due=sum(r.due for r in reports),
            oldest_ms=max((r.oldest_ms for r in reports), default=0),
            rate=None if self._read_at is None else round(sum(rates.values()), 1),
            busiest=self._busiest(reports, rates),
            problems=problems,
        )
        self._before = {r.event_id: r for r in reports}
        self._read_at = now
        return reading

    def _rates(self, reports: list[EventReport], now: float) -> dict[str, float]:
        """Jobs that ended in a second since the last reading, by event; of those that it saw too."""
        if self._read_at is None:
            return {}
        passed = max(now - self._read_at, 1e-3)
        seen = self._before
        return {r.event_id: (r.ended - seen[r.event_id].ended) / passed for r in reports if r.event_id in seen}

    def _busiest(self, reports: list[EventReport], rates: dict[str, float]) -> list[Busy]:
        def weight(report: EventReport) -> tuple[int, float, int]:
            return report.open_jobs, rates.get(report.event_id, 0.0), report.holds

        top = [r for r in sorted(reports, key=weight, reverse=True)[: self._top] if any(weight(r))]
        names = self._overview.names([r.event_id for r in top])
        return [
            Busy(r.event_id, name, r.open_jobs, r.holds, round(rates[r.event_id], 1) if r.event_id in rates else None)
            for r, name in zip(top, names, strict=True)
        ]


_COLOURS = {Health.READY: "green", Health.DEGRADED: "yellow", Health.UNAVAILABLE: "red"}


def render(reading: Reading, where: str) -> RenderableType:
    """A reading for people."""
    said = "; ".join([reading.health.name.lower(), *reading.problems])
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_row("status", Text(said, style=_COLOURS[reading.health]))
    for name, value in _facts(reading, where):
        facts.add_row(name, Text(value))
    if not reading.busiest:
        return facts
    busiest = Table(box=None, pad_edge=False, title="\nevents with most to do", title_justify="left")
    for column in ("event", "name"):
        busiest.add_column(column, overflow="ellipsis", no_wrap=True)
    for column in ("open jobs", "holds", "jobs/s"):
        busiest.add_column(column, justify="right")
    for event in reading.busiest:
        # Text: a name is a client's, and must not be read as markup.
        busiest.add_row(event.id, Text(event.name), f"{event.open_jobs:,}", f"{event.holds:,}", _rate(event.rate))
    return Group(facts, busiest)


def _facts(reading: Reading, where: str) -> Iterator[tuple[str, str]]:
    yield "at", f"{reading.at}, {where}"
    yield "state", "down" if reading.state == "down" else f"up, round trip {reading.state_ms} ms"
    waiting = "unknown" if reading.waiting is None else f"{reading.waiting:,}"
    vip = f", {reading.vip_waiting:,} of them of VIP jobs" if reading.vip_waiting else ""
    yield "queue", f"{reading.queue}, {waiting} messages waiting{vip}"
    if reading.state == "down":
        return
    vip = f", a VIP job {reading.vip_lag_ms:,} ms" if reading.vip_lag_ms else ""
    yield "workers", f"{reading.workers}; a job waits {reading.lag_ms:,} ms for one{vip}"
    yield "sweepers", str(reading.sweepers)
    if reading.senders is not None:
        yield "webhooks", f"{reading.senders} that send them"
    yield "rate", f"{_rate(reading.rate)} jobs ended a second"
    later = f", {reading.later:,} of them for later" if reading.later else ""
    oldest = f", the oldest {reading.oldest_ms / 1000:,.1f} s old" if reading.open_jobs > reading.later else ""
    yield "open jobs", f"{reading.open_jobs:,}{later}{oldest}"
    yield "holds", f"{reading.holds:,}" + (f", {reading.due:,} of them due" if reading.due else "")
    only = f" (the last {reading.looked_at:,} touched are counted here)" if reading.active >= reading.looked_at else ""
    yield "events", f"{reading.events:,}, {reading.active:,} active{only}"


def _rate(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:,.1f}"


def run(settings: Settings, *, once: bool, as_json: bool, interval_s: float, top: int) -> int:
    """Shows readings until interrupted, or one; returns the exit status."""
    watch = Watch(settings, top)
    where = masked(settings.state_url)
    console = Console()
    live = None if once or as_json or not console.is_terminal else Live(console=console, auto_refresh=False)
    with live or nullcontext():
        while True:
            reading = watch.read()
            # One alone has no rate: whoever wants to see one gets the second.
            last = once and (reading.state == "down" or reading.rate is not None)
            if last or not once:
                _show(reading, where, console, live, as_json=as_json)
            if last:
                return reading.health
            time.sleep(interval_s)


def _show(reading: Reading, where: str, console: Console, live: Live | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(reading.as_json())
    elif live is not None:
        live.update(render(reading, where), refresh=True)
    else:
        console.print(render(reading, where))
