"""A circuit breaker for each Redis, so that no request finds out by waiting that nobody answers.

The breaker is pybreaker's. It runs one call at a time, under a lock, so requests do not go through it:
one thread asks the server several times a second, through the breaker, and requests look whether the
breaker is closed. That also notices an outage while nobody asks for anything.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError, CircuitBreakerListener, CircuitBreakerState

log = structlog.get_logger()

#: Time between two questions, and the longest wait for an answer, seconds. A server that hangs is
#: known to be gone 0.6 s later at the most, and known to be back as soon.
PROBE_S, PROBE_TIMEOUT_S = 0.2, 0.4
#: How long an answer counts, seconds. The probe may wait for what has no timeout, a name server for one.
_FRESH_S = 1.0


class Guard:
    """Whether a server answers. Closed (all is well) until it was started and found otherwise.

    Arguments:
        name: what the log calls the server.
        probe: asks it; raises if it does not answer, or not as it should.
    """

    def __init__(self, name: str, probe: Callable[[], object]) -> None:
        self._probe = probe
        # One failure is enough: the probe's client has tried lost connections again by then.
        self._breaker = CircuitBreaker(fail_max=1, name=name, listeners=[_Log()])
        self._stopping = threading.Event()
        self._fresh_until = math.inf

    @property
    def closed(self) -> bool:
        """Whether requests may go to the server."""
        return self._breaker.current_state == STATE_CLOSED and time.monotonic() < self._fresh_until

    def start(self) -> None:
        """Asks from now on, from a thread of its own."""
        self._fresh_until = time.monotonic() + _FRESH_S
        threading.Thread(target=self._run, name=f"guard-{self._breaker.name}", daemon=True).start()

    def stop(self) -> None:
        """Asks no more."""
        self._stopping.set()

    def _run(self) -> None:
        while True:
            if not self.closed:
                # When the next trial is due, this loop says: pybreaker would go by the host's clock,
                # and stay open for as long as that is put back.
                self._breaker.half_open()
            with suppress(CircuitBreakerError):  # the listener has logged what changed
                self._breaker.call(self._probe)
                self._fresh_until = time.monotonic() + _FRESH_S
            if self._stopping.wait(PROBE_S):
                return


class _Log(CircuitBreakerListener):
    """Says when a server goes and when it is back; not how often it was asked in between."""

    def __init__(self) -> None:
        self._open = False

    def failure(self, cb: CircuitBreaker, exc: BaseException) -> None:
        """Logs the first failure."""
        if not self._open:
            log.warning("breaker open", server=cb.name, error=str(exc) or type(exc).__name__)
        self._open = True

    def state_change(
        self, cb: CircuitBreaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState
    ) -> None:
        """Logs the recovery."""
        if new_state.name == STATE_CLOSED:
            log.info("breaker closed", server=cb.name)
            self._open = False


class ServerClock:
    """A server's clock, as it was when last read; it runs on by the host's monotonic one.

    Arguments:
        ask: reads it, epoch ms; raises what a client raises.
    """

    def __init__(self, ask: Callable[[], float]) -> None:
        self._ask = ask
        self._ahead_ms: float | None = None

    def read(self) -> None:
        """Reads it. Raises redis.RedisError."""
        self._ahead_ms = self._ask() - time.monotonic() * 1e3

    def in_ms(self, wait_ms: int) -> int:
        """What it will show in so many ms, epoch ms; 0 if it was never read."""
        return 0 if self._ahead_ms is None else round(time.monotonic() * 1e3 + self._ahead_ms + wait_ms)
