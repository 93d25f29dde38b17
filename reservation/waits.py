"""Waiting for jobs to end, without asking again and again whether they have.

Who waits has the job's ledger entry say so (lua/await_job.lua); the script that ends the job then publishes its id to
the process in which they wait. A subscription for all of them hears it, and each reads the ledger once more. What is
published may be lost, with a connection or a node, so each looks by itself too, now and then: it costs time, never an
end (docs/decisions/0022-waiting.md).
"""

import random
import secrets
import threading
import time
from collections.abc import Callable

import redis
import structlog

from reservation import keys
from reservation.fleet import Lag
from reservation.ids import JobId
from reservation.jobs import Ledger
from reservation.models import Job
from reservation.rounds import is_task, pause
from reservation.servers import Servers

log = structlog.get_logger()

#: How often who waits looks by themselves, seconds.
_LOOK_S = 2.0
#: How long after a job's deadline it is looked at, seconds: the deadline is in whole milliseconds.
_AFTER_S = 0.001
#: How long to wait for a message before looking whether to stop, and before connecting again, seconds.
_HEAR_S, _RECONNECT_S = 1.0, 1.0


class _Waiting:
    """One that waits for a job."""

    def __init__(self, job_id: str, is_gone: Callable[[], bool], *, in_thread: bool) -> None:
        self.job_id, self.is_gone, self.in_thread = job_id, is_gone, in_thread
        self.called = threading.Event()
        self.given_up = False


class Waits:
    """Requests of this process that wait for jobs. A task of a round keeps no thread; what is slow is none, and keeps
    its own.

    Arguments:
        jobs: the ledger.
        servers: where it is; what is heard from them goes over a connection of its own.
        most: how many may wait at a time.
        most_threads: how many of them may keep a thread.

    Attributes:
        wake: has whoever works on the tasks look which of them go on; called by any thread.
    """

    def __init__(self, jobs: Ledger, servers: Servers, most: int, most_threads: int = 0) -> None:
        self._jobs, self._servers, self._most, self._most_threads = jobs, servers, most, most_threads
        self.wake: Callable[[], object] = lambda: None
        self._channel = keys.ended(secrets.token_hex(8))
        self._waiting: list[_Waiting] = []
        self._entry = threading.Lock()
        self._ear: threading.Thread | None = None
        self._closed = threading.Event()

    def job(
        self,
        job_id: JobId,
        wait_s: float,
        lag: Lag,
        viewer: str | None,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Job | None:
        """A job once it has ended, or as it is when the time is over. None, at once, where one more may not wait.
        Raises NotFound, StateUnavailable.

        Arguments:
            wait_s: how long to wait at most; never beyond the job's deadline.
            lag, viewer: as for Ledger.read.
            is_gone: whether nobody is interested in the answer any more.
        """
        waiting = _Waiting(str(job_id), is_gone, in_thread=not is_task())
        if not self._enter(waiting):
            return None
        try:
            until = time.monotonic() + wait_s
            while True:
                waiting.called.clear()
                job = self._jobs.read_awaited(job_id, self._channel, lag, viewer)
                left_s = until - time.monotonic()
                if job.ended or left_s <= 0 or waiting.given_up:
                    return job
                fails_s = (job.deadline - job.server_time) / 1000 + _AFTER_S
                pause_s = min(left_s, fails_s, _LOOK_S)
                if not pause(pause_s, unless=waiting.called):
                    waiting.called.wait(pause_s)
        finally:
            self._waiting.remove(waiting)

    def _enter(self, waiting: _Waiting) -> bool:
        """Lets one more wait, if that is allowed."""
        with self._entry:
            threads = sum(each.in_thread for each in self._waiting) + waiting.in_thread
            full = len(self._waiting) >= self._most or (waiting.in_thread and threads > self._most_threads)
            if full or self._closed.is_set():
                return False
            self._waiting.append(waiting)
            self._hear()
        return True

    def look(self) -> None:
        """Gives up for those who have gone: their places are for others."""
        self._give_up([waiting for waiting in tuple(self._waiting) if waiting.is_gone()])

    def close(self) -> None:
        """Lets nobody wait any more."""
        self._closed.set()
        self._give_up(list(self._waiting))

    def _give_up(self, found: list[_Waiting]) -> None:
        for waiting in found:
            waiting.given_up = True
            waiting.called.set()

    def _call(self, job_id: str | None) -> None:
        """Has those who wait for a job, or all, look at it."""
        called = [waiting for waiting in tuple(self._waiting) if job_id in (None, waiting.job_id)]
        for waiting in called:
            waiting.called.set()
        if called:
            self.wake()

    def _hear(self) -> None:
        if self._ear is None:
            self._ear = threading.Thread(target=self._run, name="ended-jobs", daemon=True)
            self._ear.start()

    def _run(self) -> None:
        """Listens, connecting again whenever the connection is lost."""
        servers = self._servers.beside()
        while not self._closed.is_set():
            try:
                # In a cluster any node will do: they tell each other.
                self._listen(random.choice(servers.primaries()))  # noqa: S311 - no secret
            except redis.RedisError as error:
                log.warning("ends of jobs not heard", error=str(error))
                self._closed.wait(_RECONNECT_S)
            except Exception:
                log.exception("ends of jobs not heard")
                self._closed.wait(_RECONNECT_S)
        servers.close()

    def _listen(self, server: redis.Redis) -> None:
        with server.pubsub() as pubsub:  # type: ignore[no-untyped-call]  # redis-py types few
            pubsub.subscribe(self._channel)
            while not self._closed.is_set():
                message = pubsub.get_message(timeout=_HEAR_S)
                if message is not None and message["type"] == "message":
                    self._call(message["data"])
                elif message is not None:  # subscribed, for the first time or again: something may have been missed
                    self._call(None)
