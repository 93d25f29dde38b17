"""Sees to it that every job ends and every due hold is freed, whatever was lost on the way.

Each pass looks at the events that have something going on; a slow walk over all events finds those
the index missed. Several sweepers may run: what must not happen twice is claimed first.
"""

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from actors.listener import Listener
from actors.middleware import process_id
from actors.queue import Queue
from actors.repeating import repeating
from actors.watchdog import Watchdog
from reservation import checks, keys, lifeline, metrics, signals
from reservation.codes import Code
from reservation.errors import ReservationError, StateUnavailable
from reservation.events import EventLoad
from reservation.fleet import HEARTBEAT_S, Load
from reservation.jobs import OpenJob
from reservation.retention import EVERY_S, Retention
from reservation.settings import Settings
from reservation.store import Store

log = structlog.get_logger()
T = TypeVar("T")

#: Active events that are looked at in one go.
_EVENTS_PER_LOOK = 100
#: Open jobs of an event that are read at first, and the most at a time that this grows to, tenfold.
_FIRST_JOBS, _JOBS_PER_PAGE = 10, 1_000
#: A pass sends so many messages again that as many wait in the queue, so that a backlog never feeds itself;
#: but the least in any case, so that what was lost is not forgotten over a backlog.
_RESENDS_UP_TO, _RESENDS_AT_LEAST = 2_000, 50
#: Time until a job's message is first sent again, ms, and the most that this grows to, doubling.
_RESEND_MS, _RESEND_MAX_MS = 2_500, 5_000
#: Events of the slow walk that a pass looks at.
_WALK_PER_PASS = 100
#: How often the servers are checked, seconds.
_CHECK_S = 60.0


def resend_wait_ms(attempts: int, lag_ms: int) -> int:
    """How long after it was last sent a job's message is sent again, ms.

    At least twice the lag: a message that merely waits must not be joined by another.

    Arguments:
        attempts: how often it was sent.
        lag_ms: how long jobs wait before a worker starts them.
    """
    backoff_ms = _RESEND_MS << min(attempts - 1, 10)
    return max(min(backoff_ms, _RESEND_MAX_MS), 2 * lag_ms)


class Sweeper:
    """One sweeper.

    Arguments:
        store: what it looks through.
        queue: where it sends messages.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._walked = 0
        self._fleet = Load(workers=1, sweepers=1, lag_ms=0)  # until it is known
        self._active: list[str] = []
        # Busy events that the walk has found: what it tells the index may be lost with a node.
        self._found: set[str] = set()
        self._passed_over: str | None = None
        self._sending = True

    def sweep(self) -> None:
        """One pass. Passes over what is on a node of a cluster that is gone. Raises StateUnavailable."""
        fleet = self._fleet = self._of_the_rest(self._store.fleet.load, self._fleet)
        # Once one message could not be sent, each further one would wait for the same time-out.
        waiting = self._queue.waiting()
        self._sending = waiting is not None
        budget = max(_RESENDS_UP_TO - (waiting or 0), _RESENDS_AT_LEAST)
        self._active = self._of_the_rest(self._store.events.active, self._active)
        active = [*self._active, *self._found.difference(self._active)]
        for first in range(0, len(active), _EVENTS_PER_LOOK):
            looked_at = active[first : first + _EVENTS_PER_LOOK]
            loads: dict[str, EventLoad] = self._of_the_rest(partial(self._store.events.load_each, looked_at), {})
            idle = [event_id for event_id, load in loads.items() if load.idle]
            self._found.difference_update(idle)
            self._of_the_rest(partial(self._store.events.drop_idle, idle), None)
            for event_id, load in loads.items():
                budget -= self._of_the_rest(partial(self._look_at, event_id, load, fleet, budget), 0)
        self._of_the_rest(self._walk, None)
        if self._passed_over is not None:
            log.warning("sweep passed over what is on a node that is gone", error=self._passed_over)
            self._passed_over = None

    def _of_the_rest(self, look: Callable[[], T], otherwise: T) -> T:
        """What is found, or something else where it was on a node that is gone: what is on others is seen to all the
        same. Raises StateUnavailable where there is one server only."""
        try:
            return look()
        except StateUnavailable as error:
            if not self._store.servers.many:
                raise
            self._passed_over = str(error.__cause__ or error)
            return otherwise

    def _look_at(self, event_id: str, load: EventLoad, fleet: Load, budget: int) -> int:
        """Deals with one event; returns how many messages it sent again."""
        if load.due and self._sending and self._store.seats.claim_releases([event_id]):
            self._sending = self._queue.send_releases([event_id])
        if load.startable:
            self._start_due(event_id, load.now)
        sent = 0
        for vip in (True, False) if load.open_jobs else ():
            sent += self._look_at_jobs(event_id, load, fleet, budget - sent, vip=vip)
        return sent

    def _start_due(self, event_id: str, now_ms: int) -> None:
        """Has all jobs carried out whose time has come: each is sent once, so no backlog feeds itself. One that cannot
        be sent is like any whose message was lost."""
        while started := self._store.jobs.start_due(event_id, now_ms):
            if self._sending:
                self._sending = self._queue.send_jobs([(job.job_id, job.task) for job in started])

    def _look_at_jobs(self, event_id: str, load: EventLoad, fleet: Load, budget: int, *, vip: bool) -> int:
        """Deals with the open jobs of one lane; returns how many messages it sent again."""
        lag_ms = fleet.lag.of(vip=vip)
        sent = 0
        first = 0
        most = _FIRST_JOBS
        while jobs := self._store.jobs.open_jobs(event_id, first, most, vip=vip):
            lost = []
            for job in jobs:
                first += 1
                if load.now >= job.deadline:
                    first -= self._fail(job)  # the next one takes its rank
                elif load.now - job.sent_at >= resend_wait_ms(job.attempts, lag_ms):
                    lost.append(job)
            if self._sending and fleet.workers:
                sent += self._resend(lost[: budget - sent])
            # Those that follow are younger still; or older, if the clock was put back, and wait a little longer.
            if abs(load.now - jobs[-1].since) < self._due_from_ms(fleet, budget - sent, lag_ms):
                break
            most = min(10 * most, _JOBS_PER_PAGE)
        return sent

    def _due_from_ms(self, fleet: Load, budget: int, lag_ms: int) -> int:
        """How old a job is at least when something is to be done for it, ms.

        Only a reserve that must be done before its hold's end may be past its deadline sooner. That it is
        failed later harms nobody: it reads as failed, no script runs it, and its pin has ended by itself.
        """
        fails_ms = self._store.seats.shortest_deadline_ms
        resends = self._sending and fleet.workers and budget
        return min(fails_ms, resend_wait_ms(1, lag_ms)) if resends else fails_ms

    def _fail(self, job: OpenJob) -> bool:
        """Fails a job past its deadline; returns whether that ended it."""
        verdict = self._store.seats.fail(job.task.seats, job.task.user, job.job_id, Code.DEADLINE_PASSED)
        ended = verdict.code == Code.DEADLINE_PASSED and verdict.waited_ms is not None
        self._store.counts.job_ended(job.task.type, job.job_id, verdict)
        if verdict.waited_ms is not None:
            log.warning(
                "job failed at its deadline",
                job_id=str(job.job_id),
                attempts=job.attempts,
                request_id=job.task.request_id,
            )
        return ended

    def _resend(self, jobs: list[OpenJob]) -> int:
        """Sends the messages of jobs again, unless another sweeper does; returns of how many."""
        claimed = self._store.jobs.claim_resends(jobs) if jobs else []
        for job in claimed:
            log.info(
                "job sent again", job_id=str(job.job_id), attempts=job.attempts + 1, request_id=job.task.request_id
            )
        if claimed:
            metrics.RESENT.inc(len(claimed))
            self._sending = self._queue.send_jobs([(job.job_id, job.task) for job in claimed])
        return len(claimed)

    def _walk(self) -> None:
        """The next stretch of all events: repairs the index, removes what creations and removals left that
        broke off."""
        page = self._store.events.page(self._walked, _WALK_PER_PASS)
        self._walked = self._walked + len(page) if len(page) == _WALK_PER_PASS else 0
        for event_id, load in self._store.events.load_each(page).items():
            if not load.exists:
                if self._store.events.remove_unpublished(event_id):
                    log.warning("removed the remains of an event", event_id=event_id)
            elif not load.idle:
                self._found.add(event_id)
                self._of_the_rest(partial(self._store.events.touch, event_id), None)


def run(settings: Settings) -> None:
    """Sweeps and listens until SIGTERM or SIGINT. Exits with status 1 if a thread had ended by itself."""
    signals.hold_back()
    lifeline.watch()
    stopping = threading.Event()
    store = Store.connect(settings, connections=5)
    queue = Queue.connect(settings, store, connections=4)
    sweeper, name = Sweeper(store, queue), process_id()

    def check() -> None:
        for text in checks.report(settings):
            log.critical("check", finding=text)

    threads = [
        Listener(store, queue, stopping),
        repeating("sweep", sweeper.sweep, settings.sweep_interval, stopping),
        # On a thread of its own: a pass over a great many events may take longer than a heartbeat holds.
        repeating("heartbeat", lambda: store.fleet.beat(keys.SWEEPERS, name), HEARTBEAT_S, stopping),
        # A server can be replaced, or set otherwise, while all of this runs. Whoever started it has just checked.
        repeating("checks", check, _CHECK_S, stopping, at_once=False),
    ]
    if settings.event_retention:
        # On another: archiving takes its time, and must not keep jobs waiting.
        retention = Retention.of(store.scripts, store.events, settings)
        threads.append(repeating("retention", retention.sweep, EVERY_S, stopping))
    for thread in threads:
        thread.start()
    watchdog = Watchdog(lambda: threads, settings.heartbeat_file)
    watchdog.start()
    log.info("sweeper started", interval_s=settings.sweep_interval)
    lifeline.ready()
    signals.wait_for_stop()
    watchdog.stop()
    stopping.set()
    for thread in threads:
        thread.join()
    try:
        store.fleet.leave(keys.SWEEPERS, name)
    except ReservationError:
        log.warning("could not sign off; the heartbeat lapses by itself")
    log.info("sweeper stopped")
    if watchdog.found:
        sys.exit(1)
