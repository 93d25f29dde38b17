"""Being told to stop, in ways that cannot deadlock: a signal handler that takes a lock, as
`threading.Event.set` does, can be interrupted by the next signal while it has it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_STOP = {signal.SIGINT, signal.SIGTERM}


def hold_back() -> None:
    """Keeps SIGINT and SIGTERM waiting for `wait_for_stop`. Call it before any thread starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)


@contextmanager
def held_back() -> Iterator[None]:
    """For as long as it lasts. A thread that is started meanwhile never gets them, so that they reach the one that is
    waiting for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_for_stop() -> None:
    """Returns when the process has been sent SIGINT or SIGTERM. The next one ends it at once."""
    signal.sigwait(_STOP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)


class Flag:
    """True once the process has been sent SIGINT or SIGTERM; for loops that look now and then."""

    def __init__(self) -> None:
        self._set = False
        for number in _STOP:
            signal.signal(number, self.set)

    def set(self, *_: object) -> None:
        """Sets it."""
        self._set = True

    def __bool__(self) -> bool:
        return self._set


class Renewal:
    """Whether the process has been sent SIGHUP, as one is told to read its settings again. From a terminal that
    is gone it means to stop, as ever.

    Arguments:
        stop: set then.
    """

    def __init__(self, stop: Flag) -> None:
        self._stop = stop
        self._asked = False
        self._in_terminal = _has_terminal()
        signal.signal(signal.SIGHUP, self._hear)

    def _hear(self, *_: object) -> None:
        if self._in_terminal and not _has_terminal():
            self._stop.set()
        else:
            self._asked = True

    def take(self) -> bool:
        """Whether it was asked for since this was last called."""
        asked, self._asked = self._asked, False
        return asked


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal (tty(4): /dev/tty cannot be opened without)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
