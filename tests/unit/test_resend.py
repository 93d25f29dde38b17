"""When the message of an open job is sent again."""

import pytest

from actors.sweeper import resend_wait_ms


@pytest.mark.parametrize(
    ("attempts", "lag_ms", "wait_ms"),
    [
        (1, 0, 2_500),
        (2, 0, 5_000),
        (3, 0, 5_000),
        (50, 0, 5_000),
        (1, 1_000, 2_500),
        (1, 4_000, 8_000),
        (3, 4_000, 8_000),
    ],
)
def test_it_backs_off_to_twice_the_lag_at_least(attempts: int, lag_ms: int, wait_ms: int) -> None:
    """So that a backlog never feeds itself."""
    assert resend_wait_ms(attempts, lag_ms) == wait_ms
