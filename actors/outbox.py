"""Messages on their way to the queue, sent by a thread of their own.

A job is accepted once it is in the ledger; its message only wakes a worker. So no request waits for the
queue, and what the requests of a round have to send goes in one round trip.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Item = TypeVar("Item")

#: Most messages that are sent in one go, and most that may wait to be. What does not fit is dropped: the
#: sweeper finds the job and sends its message.
_AT_ONCE, _MOST = 256, 10_000
#: How long a message waits that nobody asked to send, seconds.
_LATEST_S = 0.05
#: Pause after several were sent, seconds.
_PAUSE_S = 0.004


class Outbox(Generic[Item]):
    """Sends what is put into it, in order, and as much as there is at once.

    Arguments:
        send: sends messages; must not raise.
    """

    def __init__(self, send: Callable[[Sequence[Item]], object]) -> None:
        self._send = send
        self._items: deque[Item] = deque()
        self._asked = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, item: Item) -> None:
        """Takes a message, to be sent with others when asked to; sends it at once if not started."""
        if self._thread is None:
            self._send([item])
        elif len(self._items) < _MOST:
            self._items.append(item)
        else:
            log.warning("outbox full")

    def flush(self) -> None:
        """Asks for what there is to be sent; does not wait for that."""
        if self._items:
            self._asked.set()

    def start(self) -> None:
        """Sends from a thread of its own from now on."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Sends what is left, for so long at the most."""
        if self._thread is not None:
            self._stopping = True
            self._asked.set()
            self._thread.join(timeout_s)
            self._thread = None

    def _run(self) -> None:
        while not self._stopping or self._items:
            self._asked.wait(_LATEST_S)
            self._asked.clear()
            items: list[Item] = []
            with suppress(IndexError):
                while len(items) < _AT_ONCE:
                    items.append(self._items.popleft())
            if items:
                self._send(items)
            if len(items) > 1 and not self._stopping:
                # There is a lot to do. Less often, and more at once, costs this process and the workers less.
                time.sleep(_PAUSE_S)
            if self._items:
                self._asked.set()
