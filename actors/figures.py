"""How the whole service is doing, read from both servers when somebody asks: what no process knows of itself."""

import threading
import time
from typing import NamedTuple

import redis
import structlog

from actors.queue import Queue
from reservation.counts import Totals
from reservation.errors import ReservationError
from reservation.fleet import Load
from reservation.overview import Overview
from reservation.store import Store

log = structlog.get_logger()

#: How long what was read is shown again, seconds: anybody may ask who may see it. While it is read anew, others are
#: shown the last of it for as long as the second says, rather than each keep a thread waiting.
_FRESH_S, _STALE_S = 1.0, 5.0
#: How long reading may take, seconds, and how many events are read in one go. 10,000 take about half of it.
_BUDGET_S, _EVENTS_PER_LOOK = 1.0, 100


class Open(NamedTuple):
    """What all events have going on: seats on hold, jobs that have not ended, those whose time has not come, and
    the age of the oldest of the others (ms)."""

    holds: int
    jobs: int
    later: int
    oldest_ms: int


class Figures(NamedTuple):
    """What was found. None: it could not be read, and a zero would be untrue.

    Attributes:
        time_ms: by the state's clock, or this host's where nobody knows that.
        state, broker: whether these servers answer.
        messages: how many wait in the queue; `vip_messages`: those of VIP jobs among them.
        fleet: who is at work.
        senders: processes that send webhooks; None also where there are none to be.
        active: events that anything goes on in, or lately did.
        going_on: of those.
        totals: what all processes have counted.
    """

    time_ms: int
    state: bool = False
    broker: bool = False
    messages: int | None = None
    vip_messages: int | None = None
    fleet: Load | None = None
    senders: int | None = None
    active: int | None = None
    going_on: Open | None = None
    totals: Totals | None = None


class Readings:
    """Reads the figures, at most once a second.

    Arguments:
        store: where seats and jobs are.
        queue: where messages wait.
        webhooks: whether the service sends them.
    """

    def __init__(self, store: Store, queue: Queue, *, webhooks: bool = False) -> None:
        self._store = store
        self._has_webhooks = webhooks
        self._events = Overview(store.scripts)
        self._queue = queue
        self._lock = threading.Lock()
        self._last = Figures(0)
        self._read_at = float("-inf")

    def last(self) -> Figures:
        """What was read a moment ago at most. Never raises."""
        if not self._lock.acquire(blocking=time.monotonic() - self._read_at > _STALE_S):
            return self._last
        try:
            if time.monotonic() - self._read_at > _FRESH_S:
                self._last = self._read()
                self._read_at = time.monotonic()
            return self._last
        finally:
            self._lock.release()

    def _read(self) -> Figures:
        figures = Figures(round(time.time() * 1000))
        for name, look in (("state", self._look_at_state), ("broker", self._look_at_queue)):
            try:
                figures = look(figures)
            except (ReservationError, redis.RedisError) as error:
                log.warning("not measured", server=name, error=str(error.__cause__ or error))
        return figures

    def _look_at_queue(self, figures: Figures) -> Figures:
        if not self._queue.guard.closed:
            return figures
        return figures._replace(broker=True, messages=self._queue.depth(), vip_messages=self._queue.depth(vip=True))

    def _look_at_state(self, figures: Figures) -> Figures:
        fleet = self._store.fleet.load()
        senders = self._store.fleet.senders() if self._has_webhooks else None
        totals = self._store.fleet.totals()
        active = self._store.events.active()
        going_on = self._going_on(active)
        return figures._replace(
            time_ms=totals.time_ms,
            state=True,
            fleet=fleet,
            senders=senders,
            totals=totals,
            active=len(active),
            going_on=going_on,
        )

    def _going_on(self, active: list[str]) -> Open | None:
        until = time.monotonic() + _BUDGET_S
        holds = jobs = later = oldest_ms = 0
        for first in range(0, len(active), _EVENTS_PER_LOOK):
            if time.monotonic() > until:
                log.warning("not measured", error="too many active events to look at", events=len(active))
                return None
            asked = active[first : first + _EVENTS_PER_LOOK]
            reports = self._events.report(asked)
            if len(reports) < len(asked):
                log.warning("not measured", error="a node of the cluster does not answer")
                return None
            for report in reports:
                holds += report.holds - report.due
                jobs += report.open_jobs
                later += report.later
                oldest_ms = max(oldest_ms, report.oldest_ms)
        return Open(holds, jobs, later, oldest_ms)
