"""The queue's lag, as the estimates use it."""

import time
from contextlib import suppress

from reservation.errors import StateUnavailable
from reservation.fleet import Fleet, Lag

#: How long a reading is used, seconds.
_TTL_S = 1.0


class QueueLag:
    """How long jobs wait before a worker starts them, read at most once a second.

    Arguments:
        fleet: where workers report it.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lag = Lag()
        self._until = 0.0

    def read(self) -> Lag:
        """As it is now; the last known figures if they cannot be read. Never raises: it is only an estimate."""
        now = time.monotonic()
        if now > self._until:
            self._until = now + _TTL_S
            with suppress(StateUnavailable):
                self._lag = self._fleet.load().lag
        return self._lag
