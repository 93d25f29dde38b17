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
from collections.abc import Callable
from typing import Any

#: Set for children whose standard input is a lifeline.
_VARIABLE = "RESERVATION_LIFELINE"


def spawn(command: list[str], *, env: dict[str, str], **options: Any) -> "subprocess.Popen[bytes]":
    """Starts a process whose standard input closes when this one ends.

    Arguments:
        env: variables on top of this process's.
        options: passed on to subprocess.Popen.
    """
    return subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **env, _VARIABLE: "1"}, **options)


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
