"""Ends a process that has lost one of its threads: half a worker looks alive, and is none. Says that it is whole."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger()

#: How often the threads are looked at, seconds.
_LOOK_S = 1.0


class Watchdog:
    """Looks after threads that must not end before they are told to. When one has, it sends its own process
    SIGTERM: what runs is finished, and whoever supervises the process starts another.

    Arguments:
        threads: those that have to be alive, asked for each time.
        heartbeat: a file that is touched each time they are; a disk that is full ends nobody.

    Attributes:
        found: the name of the thread that had ended, empty if none had.
    """

    def __init__(self, threads: Callable[[], Iterable[threading.Thread]], heartbeat: Path | None = None) -> None:
        self._threads = threads
        self._heartbeat = heartbeat
        self._stopping = threading.Event()
        self.found = ""

    def start(self) -> None:
        """Looks after them from now on."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Looks after them no more: they may end now."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            dead = next((thread for thread in self._threads() if not thread.is_alive()), None)
            if dead is not None:
                self.found = dead.name
                os.kill(os.getpid(), signal.SIGTERM)
                log.critical("a thread has ended; so does this process, to be replaced", thread=dead.name)
                return
            if self._heartbeat is not None:
                with suppress(OSError):
                    self._heartbeat.touch()
