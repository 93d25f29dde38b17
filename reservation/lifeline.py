"""Processes that go when their parent goes, however it goes.

A parent starts its children with `spawn`: their standard input is a pipe that only the parent
holds open. When the parent ends, by SIGKILL too, the kernel closes it, and a child that called
`watch` ends as if it had been told to. Portable, unlike Linux's PR_SET_PDEATHSIG.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

#: Set for children whose standard input is a lifeline.
_VARIABLE = "RESERVATION_LIFELINE"
#: The descriptor on which a child says that it is at work, if somebody waits for that.
_READY = "RESERVATION_READY_FD"


def spawn(
    command: list[str], *, env: dict[str, str], ready: int | None = None, pass_fds: Sequence[int] = (), **options: Any
) -> "subprocess.Popen[bytes]":
    """Starts a process whose standard input closes when this one ends.

    Arguments:
        env: variables on top of this process's.
        ready: a descriptor to which it writes a byte once it is at work, and which closes if it ends before.
        pass_fds: descriptors it inherits.
        options: passed on to subprocess.Popen.
    """
    variables = {**os.environ, **env, _VARIABLE: "1"}
    if ready is not None:
        variables[_READY] = str(ready)
        pass_fds = [*pass_fds, ready]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=variables, pass_fds=pass_fds, **options)


def ready() -> None:
    """Says that this process is at work, if whoever started it waits for that."""
    if given := os.environ.pop(_READY, ""):
        with suppress(OSError):  # nobody waits any more
            os.write(int(given), b"1")
            os.close(int(given))


def watch(gone: Callable[[], None] | None = None) -> None:
    """Calls `gone` from a thread once the parent has ended; by default, sends itself SIGTERM.

    Does nothing in a process that was not started by `spawn`.
    """
    if os.environ.get(_VARIABLE) != "1":
        return

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        (gone or (lambda: os.kill(os.getpid(), signal.SIGTERM)))()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
