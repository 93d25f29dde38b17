"""A worker process: threads that carry out jobs."""

import sys

import structlog
from dramatiq import Worker

from actors.queue import Queue
from actors.watchdog import Watchdog
from reservation import lifeline, signals
from reservation.settings import Settings
from reservation.store import Store

log = structlog.get_logger()

#: How long an idle thread waits before it looks whether it shall stop, ms.
_IDLE_MS = 1_000


def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT; then finishes what has begun and gives the rest back. Exits with status 1
    if a thread had ended by itself."""
    signals.hold_back()
    lifeline.watch()
    store = Store.connect(settings, connections=settings.worker_threads + 2)
    queue = Queue.connect(settings, store, connections=settings.worker_threads + 4)
    worker = Worker(queue.broker, worker_threads=settings.worker_threads, worker_timeout=_IDLE_MS)
    worker.start()
    # Only what Dramatiq starts: the lists are complete when `start` returns.
    watchdog = Watchdog(lambda: [*worker.consumers.values(), *worker.workers])
    watchdog.start()
    log.info("worker started", threads=settings.worker_threads)
    signals.wait_for_stop()
    watchdog.stop()
    worker.stop(timeout=round(settings.worker_shutdown_timeout * 1000))
    log.info("worker stopped")
    if watchdog.found:
        sys.exit(1)
