"""Waiting for the thing itself rather than for a time."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], timeout_s: float = 10) -> None:
    """Waits until a condition holds; fails if it does not within the time."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"not within {timeout_s} s"
        time.sleep(0.01)
