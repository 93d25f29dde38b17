"""How the whole service is doing, read from both servers when somebody asks for metrics: what no process knows of
itself."""

import threading
import time
from collections.abc import Iterator

import redis
import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import reservation
from actors.queue import Queue
from reservation.errors import ReservationError
from reservation.overview import Overview
from reservation.store import Store

log = structlog.get_logger()

#: How long what was read is shown again, seconds: anybody may ask who may see it.
_FRESH_S = 1.0
#: How long reading may take, seconds, and how many events are read in one go. 10,000 take about half of it.
_BUDGET_S, _EVENTS_PER_LOOK = 1.0, 100


class ServiceGauges(Collector):
    """Queue, jobs, holds, workers and sweepers of the service.

    Arguments:
        store: where seats and jobs are.
        queue: where messages wait.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._events = Overview(store.scripts)
        self._queue = queue
        self._lock = threading.Lock()
        self._read: list[GaugeMetricFamily] = []
        self._read_again = 0.0

    def collect(self) -> list[GaugeMetricFamily]:
        """Reads it, at most once a second. What cannot be read is left out: a zero would be untrue."""
        with self._lock:
            if time.monotonic() > self._read_again:
                self._read = [_version(), *self._both()]
                self._read_again = time.monotonic() + _FRESH_S
            return self._read

    def _both(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("reservation_up", "1 where this server answers.", labels=["server"])
        for name, parts in (("state", self._of_state), ("broker", self._of_queue)):
            try:
                found = list(parts())
            except (ReservationError, redis.RedisError) as error:
                log.warning("not measured", server=name, error=str(error.__cause__ or error))
                found = []
            up.add_metric([name], bool(found))
            yield from found
        yield up

    def _of_queue(self) -> Iterator[GaugeMetricFamily]:
        waiting = self._queue.waiting() if self._queue.guard.closed else None
        if waiting is not None:
            yield _gauge("reservation_queue_messages", "Messages that wait for a worker.", waiting)

    def _of_state(self) -> Iterator[GaugeMetricFamily]:
        fleet = self._store.fleet.load()
        yield _gauge("reservation_workers", "Live worker processes.", fleet.workers)
        yield _gauge("reservation_sweepers", "Live sweeper processes.", fleet.sweepers)
        yield _gauge("reservation_queue_lag_seconds", "How long messages wait for a worker.", fleet.lag_ms / 1000)
        active = self._store.events.active()
        yield _gauge("reservation_active_events", "Events with open jobs or holds, or lately so.", len(active))
        until = time.monotonic() + _BUDGET_S
        holds = jobs = 0
        oldest_ms = 0
        for first in range(0, len(active), _EVENTS_PER_LOOK):
            if time.monotonic() > until:
                log.warning("not measured", error="too many active events to look at", events=len(active))
                return
            asked = active[first : first + _EVENTS_PER_LOOK]
            reports = self._events.report(asked)
            if len(reports) < len(asked):
                log.warning("not measured", error="a node of the cluster does not answer")
                return
            for report in reports:
                holds += report.holds - report.due
                jobs += report.open_jobs
                oldest_ms = max(oldest_ms, report.oldest_ms)
        yield _gauge("reservation_holds_active", "Seats on hold.", holds)
        yield _gauge("reservation_jobs_open", "Jobs that have not ended.", jobs)
        about = "How long ago the oldest job was accepted that has not ended; 0 if there is none."
        yield _gauge("reservation_oldest_job_seconds", about, oldest_ms / 1000)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


def _version() -> GaugeMetricFamily:
    info = GaugeMetricFamily("reservation_build_info", "The version that is running; always 1.", labels=["version"])
    info.add_metric([reservation.__version__], 1)
    return info
