"""Answers quick requests in the server's own loop, in rounds (reservation.rounds).

Waitress reads requests in one thread and hands each to another of its pool. Here those that have arrived
together are worked on by the thread that has read them. What is slow would keep everybody waiting, and goes to
the pool as ever.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from waitress.task import ThreadedTaskDispatcher

from reservation.rounds import Rounds
from reservation_http.connection import Connection

#: Most requests in one round: the first waits for the last.
_MOST = 12
#: How long the loop keeps at what has arrived before it looks for more, seconds. Somebody may send without end.
_KEEP_AT_S = 0.02
#: Bytes of an answer that are collected before they are sent: head and body of most go out at once.
_SEND_BYTES = 18_000


class RoundDispatcher:
    """What Waitress gives its tasks to.

    Arguments:
        pool: for requests that are slow.
        is_slow: whether a request with this path is.
        at_step: does, as a task of its own, what the requests of a round have left to be done for all of them.
    """

    def __init__(
        self, pool: ThreadedTaskDispatcher, is_slow: Callable[[str], bool], at_step: Callable[[], object]
    ) -> None:
        self._pool = pool
        self._is_slow = is_slow
        self._rounds = Rounds(lambda: self._rounds.start(at_step))
        self._ready: deque[Connection] = deque()
        self._full: deque[Connection] = deque()

    def serve(self, server: Any) -> None:
        """Takes the tasks of a Waitress server from now on, in the thread that runs its loop."""
        loop, pull_trigger = threading.get_ident(), server.pull_trigger

        def wake() -> None:
            # The loop need not be woken by itself: two system calls a request.
            if threading.get_ident() != loop:
                pull_trigger()

        server.task_dispatcher, server.pull_trigger = self, wake
        # As an argument it is deprecated: without it each answer is sent in two pieces.
        server.adj.send_bytes = _SEND_BYTES

    def add_task(self, connection: Connection) -> None:
        """Takes a connection whose next request has arrived."""
        # Who does not read gets no further answer meanwhile. Waitress would let a thread of the pool wait for it: a
        # few such clients, and nobody's events are created any more.
        if connection.total_outbufs_len >= _SEND_BYTES:
            self._full.append(connection)
            return
        request = connection.requests[0]
        # One that Waitress refuses may have no path.
        if request.error is None and self._is_slow(request.path):
            self._pool.add_task(connection)
        else:
            self._ready.append(connection)

    def set_thread_count(self, count: int) -> None:
        """Of the pool."""
        self._pool.set_thread_count(count)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Stops the pool."""
        return bool(self._pool.shutdown(cancel_pending, timeout))

    @property
    def wait_s(self) -> float:
        """How long the loop may wait for something to arrive before a request has to be gone on with: whole
        milliseconds, which is what it counts in, so that it does not look again and again meanwhile."""
        if self._ready:
            return 0
        wait_s = self._rounds.pausing_s
        return math.ceil(max(0.0, wait_s) * 1000) / 1000 if wait_s < math.inf else wait_s

    def work(self) -> None:
        """Goes on with what has arrived."""
        self._rounds.wake()
        for _ in range(len(self._full)):
            connection = self._full.popleft()
            if connection.connected:
                self.add_task(connection)
        until = time.monotonic() + _KEEP_AT_S
        while self._rounds.tasks or (self._ready and time.monotonic() < until):
            for _ in range(min(_MOST, len(self._ready))):
                self._rounds.start(self._ready.popleft().serve)
            self._rounds.work()
