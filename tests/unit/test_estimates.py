"""The wait that a job is told of."""

import pytest

from reservation.jobs import estimate_s


@pytest.mark.parametrize(
    ("rank", "pace_us", "lag_ms", "delay_ms", "seconds"),
    [
        (0, 0, 0, 0, 0),
        (0, 5_000, 3, 0, 1),
        (10, 5_000, 0, 0, 1),
        (1000, 5_000, 0, 0, 5),
        (1001, 5_000, 0, 0, 6),
        (10, 5_000, 2_500, 0, 3),
        (10, 5_000, 2_500, 60_000, 63),
        (20_000, 5_000, 0, 60_000, 100),
    ],
)
def test_whole_seconds_rounded_up_of_the_larger(
    rank: int, pace_us: int, lag_ms: int, delay_ms: int, seconds: int
) -> None:
    """Rank times the event's pace, or the queue's lag from when it may be carried out."""
    assert estimate_s(rank, pace_us, lag_ms, delay_ms) == seconds
