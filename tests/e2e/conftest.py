"""The service as its users have it: real processes, started by the command, spoken to over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from reservation import lifeline
from reservation.settings import Settings
from reservation_client import Client
from tests.conftest import wait_for

COMMAND = [sys.executable, "-m", "reservation_cli"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def clean_environment(**values: str) -> dict[str, str]:
    """This process's environment without any setting of the service, and with these."""
    settings = {name.upper() for name in Settings.model_fields}
    return {**{k: v for k, v in os.environ.items() if k not in settings}, **values}


class Process:
    """A process of ours, its output, and the processes below it. It goes when the tests go, however they go."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        if arguments[0] == "up":  # the port after PORT may be anybody's
            environment.setdefault("STREAM_PORT", str(free_port()))
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=clean_environment(**environment, **{lifeline._VARIABLE: "1"}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def wait_for_line(self, text: str, timeout_s: float = 30) -> None:
        wait_for(lambda: text in self.output or self.process.poll() is not None, timeout_s)
        assert text in self.output, self.output

    def family(self) -> dict[int, str]:
        """Command lines of all processes below this one, by pid."""
        return below(self.process.pid)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20) -> int:
        self.process.send_signal(number)
        return self.join(timeout_s)

    def join(self, timeout_s: float) -> int:
        """Waits until it has ended; returns its status."""
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return status


def below(root: int) -> dict[int, str]:
    """Command lines of all processes below one, by pid."""
    rows = list(_processes())
    found: dict[int, str] = {}
    parents = {root}
    while parents:
        children = {pid: line for pid, parent, line in rows if parent in parents}
        found.update(children)
        parents = set(children)
    return found


def _processes() -> Iterator[tuple[int, int, str]]:
    """Pid, parent and command line of each process; without `ps` where there is /proc."""
    if not Path("/proc/self/stat").exists():
        lines = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        for line in lines.splitlines():
            pid, parent, *rest = line.split(None, 2)
            yield int(pid), int(parent), "".join(rest)
        return
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        # proc_pid_stat(5): the name, in parentheses, may hold anything; state and parent follow it.
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            yield int(folder.name), int(parent), line


def gone(pids: list[int]) -> bool:
    """Whether none of these processes is left."""
    return not {pid for pid, _, _ in _processes()} & set(pids)


class Service:
    """A service that `reservation up` runs. What is not about the wire itself asks it by the client package."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.process = Process("up", cwd=folder, PORT=str(self.port), **environment)
        self.process.wait_for_line("Ctrl-C stops it")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)
        self._client = Client(f"http://127.0.0.1:{self.port}")

    def create(self, seats: int) -> str:
        return self._client.create_event("Opening night", seats).id

    def buyer(self, user: str | None = None) -> Client:
        """The client of a user; of a new one, if it does not matter whose."""
        return self._client.acting_for(user or uuid4())

    def post(self, action: str, seat: str, user: str) -> httpx.Response:
        return self.http.post(f"/seats/{action}", json={"id": seat, "UUID": user})

    def result(self, queued: httpx.Response, timeout_s: float = 15) -> dict[str, Any]:
        """The ended job of a 202."""
        assert queued.status_code == 202, queued.text
        until = time.monotonic() + timeout_s
        while True:
            job: dict[str, Any] = self.http.get(queued.json()["statusEndpoint"]).json()
            if job["status"] in ("completed", "failed"):
                return job
            assert time.monotonic() < until, job
            time.sleep(0.005)

    def close(self) -> None:
        self.http.close()
        self._client.close()
        if self.process.process.poll() is None:
            self.process.stop()


@pytest.fixture
def make_service() -> Iterator[Callable[..., Service]]:
    """Starts services in temporary folders, and stops them."""
    services: list[Service] = []
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:

        def make(**environment: str) -> Service:
            services.append(Service(Path(folder), **environment))
            return services[-1]

        yield make
        for service in services:
            service.close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One service for a module's tests, each of which makes events of its own."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        running = Service(Path(folder), WORKER_PROCESSES="2", LOCK_EXPIRATION_TIME="5")
        yield running
        running.close()
