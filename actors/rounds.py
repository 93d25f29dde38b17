"""A worker whose threads carry jobs out in rounds (reservation.rounds), rather than one after another.

Everything else is Dramatiq's: consumers, middleware, retries, and what becomes of a message.
"""

import math
import time
from functools import partial
from queue import Empty

from dramatiq import Broker, Worker
from dramatiq.worker import WorkerThread

from actors.lanes import Lanes
from reservation.rounds import Rounds

#: Most jobs that a thread begins at once: what they ask for is sent together.
JOBS_AT_ONCE = 64
#: Most that it has on their way: some are begun while Redis is busy with others.
JOBS_ON_THEIR_WAY = 2 * JOBS_AT_ONCE


class RoundWorker(Worker):
    """Dramatiq's worker, with threads of ours.

    Arguments:
        broker: as for any worker.
        threads: how many carry jobs out.
        idle_ms: how long an idle thread waits before it looks whether it shall stop.
    """

    def __init__(self, broker: Broker, threads: int, idle_ms: int) -> None:
        super().__init__(broker, worker_threads=threads, worker_timeout=idle_ms)
        self.work_queue = Lanes()

    def _add_worker(self) -> None:
        worker = _RoundThread(self)
        worker.start()
        self.workers.append(worker)


class _RoundThread(WorkerThread):
    """Begins jobs as they come, and goes on with those that have their reply."""

    def __init__(self, worker: RoundWorker) -> None:
        super().__init__(
            broker=worker.broker,
            consumers=worker.consumers,
            work_queue=worker.work_queue,
            worker_timeout=worker.worker_timeout,
        )
        self._rounds = Rounds()

    def run(self) -> None:
        """Works until told to stop, and then ends what has begun."""
        self.running = True
        self.broker.emit_after("worker_thread_boot", self)
        while self.running or self._rounds.tasks or self._pauses:
            if self.running:
                self._begin()
            elif not self._rounds.tasks:
                time.sleep(max(0.0, self._rounds.pausing_s))
            self._rounds.work()
            self._rounds.wake()
        self.broker.emit_before("worker_thread_shutdown", self)

    @property
    def _pauses(self) -> bool:
        """Whether a job waits for a time rather than for a reply."""
        return self._rounds.pausing_s < math.inf

    def _begin(self) -> None:
        """Begins jobs that wait; if none is on its way, waits for one."""
        try:
            for _ in range(min(JOBS_AT_ONCE, JOBS_ON_THEIR_WAY - self._rounds.tasks)):
                idle = not self._rounds.tasks
                wait_s = max(0.0, min(self.timeout, self._rounds.pausing_s))
                item = self.work_queue.get(timeout=wait_s) if idle else self.work_queue.get_nowait()
                self._rounds.start(partial(self.process_message, item.message))
        except Empty:
            pass
