"""The breaker before each Redis, and the clock that is read with it."""

import threading
import time
from collections.abc import Iterator

import pytest
import redis

from reservation.guard import Guard, ServerClock
from tests.conftest import wait_for


class Server:
    """Answers, or does not, as it is told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0
        self.hang: threading.Event | None = None

    def probe(self) -> None:
        self.asked += 1
        if self.hang is not None:
            self.hang.wait(10)
        if self.error is not None:
            raise self.error


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def guard(server: Server) -> Iterator[Guard]:
    guard = Guard("state", server.probe)
    yield guard
    guard.stop()


def test_it_is_closed_until_it_was_started(guard: Guard, server: Server) -> None:
    """Where nobody starts it, nothing is kept from the server."""
    server.error = redis.ConnectionError("gone")
    assert guard.closed
    assert server.asked == 0


@pytest.mark.parametrize(
    "error", [redis.ConnectionError("gone"), redis.TimeoutError(), redis.ResponseError("BUSY"), ValueError("a mistake")]
)
def test_one_failure_opens_it_and_one_answer_closes_it(guard: Guard, server: Server, error: Exception) -> None:
    """By itself, whatever the failure."""
    guard.start()
    wait_for(lambda: server.asked > 1)
    assert guard.closed
    server.error = error
    wait_for(lambda: not guard.closed, 1)
    asked = server.asked
    wait_for(lambda: server.asked > asked + 2)
    assert not guard.closed
    server.error = None
    wait_for(lambda: guard.closed, 1)


def test_an_answer_counts_for_a_second(guard: Guard, server: Server) -> None:
    """A probe that hangs, whatever for, opens it as one that fails."""
    let_go = threading.Event()
    guard.start()
    wait_for(lambda: server.asked)
    assert guard.closed
    server.hang = let_go
    wait_for(lambda: not guard.closed, 3)
    let_go.set()
    server.hang = None
    wait_for(lambda: guard.closed, 1)


def test_a_guard_that_was_stopped_asks_no_more(guard: Guard, server: Server) -> None:
    """Its thread ends."""
    guard.start()
    wait_for(lambda: server.asked)
    guard.stop()
    time.sleep(0.3)
    asked = server.asked
    time.sleep(0.5)
    assert server.asked == asked


def test_the_servers_clock_runs_on_between_two_readings() -> None:
    """And nothing is known of it before the first."""

    clock = ServerClock(lambda: 1_000_500.0)
    assert clock.in_ms(1_500) == 0
    clock.read()
    assert 1_002_000 <= clock.in_ms(1_500) < 1_002_500
    wait_for(lambda: clock.in_ms(1_500) > 1_002_010)
