"""A worker process: threads that carry out jobs."""

import sys

import structlog

from actors.queue import Queue
from actors.rounds import RoundWorker
from actors.watchdog import Watchdog
from reservation import lifeline, memory, signals, tracing
from reservation.rounds import RoundPipelining
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
    tracing.start(settings, "worker")
    store = Store.connect(settings, settings.worker_threads + 2, pipelining=RoundPipelining)
    queue = Queue.connect(settings, store, connections=settings.worker_threads + 4)
    worker = RoundWorker(queue.broker, settings.worker_threads, _IDLE_MS)
    worker.start()
    # Only what Dramatiq starts: the lists are complete when `start` returns.
    watchdog = Watchdog(lambda: [*worker.consumers.values(), *worker.workers], settings.heartbeat_file)
    watchdog.start()
    memory.settle()
    log.info("worker started", threads=settings.worker_threads)
    lifeline.ready()
    signals.wait_for_stop()
    watchdog.stop()
    worker.stop(timeout=round(settings.worker_shutdown_timeout * 1000))
    tracing.stop()
    log.info("worker stopped")
    if watchdog.found:
        sys.exit(1)
