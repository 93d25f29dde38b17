"""Work that is done again and again, on a thread of its own."""

import threading
from collections.abc import Callable

import structlog

from reservation.errors import ReservationError

log = structlog.get_logger()


def repeating(
    name: str, work: Callable[[], object], every_s: float, stopping: threading.Event, *, at_once: bool = True
) -> threading.Thread:
    """A thread that does its work again and again, whatever becomes of it, until it shall stop."""

    def run() -> None:
        if not at_once and stopping.wait(every_s):
            return
        while True:
            try:
                work()
            except ReservationError as error:
                log.warning(f"{name} broke off", error=str(error.__cause__ or error))
            except Exception:  # one that fails must not end all later ones
                log.exception(f"{name} failed")
            if stopping.wait(every_s):
                return

    return threading.Thread(target=run, name=name, daemon=True)
