"""The queue's lag is read at most once a second, and never fails a request."""

from datetime import timedelta
from typing import cast

from freezegun import freeze_time

from reservation.errors import StateUnavailable
from reservation.fleet import Fleet, Load
from reservation_http.lag import QueueLag


class _Fleet:
    """Counts how often it is asked; answers what is left, or nothing."""

    def __init__(self, *lags: int | None) -> None:
        self.lags = list(lags)
        self.asked = 0

    def load(self) -> Load:
        self.asked += 1
        lag_ms = self.lags.pop(0)
        if lag_ms is None:
            raise StateUnavailable
        return Load(1, 1, lag_ms, 2 * lag_ms)


def test_it_is_read_once_a_second() -> None:
    """However many requests want an estimate."""
    fleet = _Fleet(5, 9)
    with freeze_time("2026-01-01") as clock:
        lag = QueueLag(cast(Fleet, fleet))
        assert [lag.read(), lag.read(), lag.read()] == [(5, 10)] * 3
        assert fleet.asked == 1
        clock.tick(timedelta(seconds=1.1))
        assert [lag.read(), lag.read()] == [(9, 18)] * 2
        assert fleet.asked == 2


def test_without_an_answer_the_last_known_stands() -> None:
    """It is only an estimate."""
    with freeze_time("2026-01-01") as clock:
        lag = QueueLag(cast(Fleet, _Fleet(5, None, 7)))
        assert lag.read() == (5, 10)
        clock.tick(timedelta(seconds=1.1))
        assert lag.read() == (5, 10)
        clock.tick(timedelta(seconds=1.1))
        assert lag.read() == (7, 14)
