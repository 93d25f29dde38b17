"""Being told to stop, without a signal handler: one that takes a lock can deadlock on the next signal."""

import signal

_STOP = {signal.SIGINT, signal.SIGTERM}


def hold_back() -> None:
    """Keeps SIGINT and SIGTERM waiting for `wait_for_stop`. Call it before any thread starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)


def wait_for_stop() -> None:
    """Returns when the process has been sent SIGINT or SIGTERM. The next one ends it at once."""
    signal.sigwait(_STOP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)
