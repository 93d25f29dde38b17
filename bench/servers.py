"""The servers that the benchmark starts, all its own: on free ports, with their data in a folder that goes."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import reservation_client
from reservation.embedded import EmbeddedRedis
from reservation_cli.supervisor import Child, Supervisor, command
from tests.e2e.conftest import clean_environment, free_port

#: Longest wait for a server to answer, or for work to be done, seconds.
_PATIENCE_S = 120
#: After how long a connection is opened anew, seconds: servers close idle ones after ten.
_IDLE_S = 5.0


def wait_until(done: Callable[[], object], pause_s: float = 0.01) -> None:
    """Waits until something is so. Raises TimeoutError."""
    until = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"not so after {_PATIENCE_S} s")
        time.sleep(pause_s)


@contextmanager
def running(*children: Child) -> Iterator[None]:
    """Runs processes, and stops them in the end."""
    supervisor = Supervisor(stop_timeout_s=10)
    supervisor.start(*children)
    try:
        yield
    finally:
        supervisor.stop()


class Client:
    """One connection to the API, kept, with nothing between it and what is measured.

    Arguments:
        url: of the service.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._used = 0.0

    @cached_property
    def api(self) -> reservation_client.Client:
        """The client package, for what is not measured."""
        return reservation_client.Client(self._url)

    def send(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """One request; returns status, body and headers."""
        if time.monotonic() - self._used > _IDLE_S:
            self._connection.close()
        self._used = time.monotonic()
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, {"Content-Type": "application/json", **headers})
        response = self._connection.getresponse()
        return response.status, response.read(), {k.lower(): v for k, v in response.getheaders()}

    def close(self) -> None:
        """Closes the connection. The next request opens another."""
        self._connection.close()

    def json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request; returns the answer. Raises RuntimeError for an error status."""
        status, answer, _ = self.send(method, path, body)
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {answer.decode()}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def create_events(self, count: int, seats: int) -> list[str]:
        """Creates events; returns their ids."""
        return [self.api.create_event("Benchmark", seats).id for _ in range(count)]


class Service:
    """The service, in processes of its own, with one log file each.

    Arguments:
        folder: for data and logs.
        settings: environment variables.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = {
            **dict.fromkeys(set(os.environ) - set(clean_environment()), ""),
            "VAR_DIR": str(folder / "var"),
            "LOG_DIR": str(folder / "logs"),
            "LOG_FORMAT": "json",
            "PORT": str(self.port),
            **settings,
        }

    def role(self, *arguments: str, **settings: str) -> Child:
        """A process of the service, not started."""
        log = self.folder / f"{arguments[0]}.log"
        return Child(arguments[0], command(*arguments), log, {**self._env, **settings})

    @contextmanager
    def up(self) -> Iterator[Client]:
        """All of it, as `reservation up` runs it."""
        child = self.role("up")
        with running(child):
            wait_until(lambda: "Ready:" in (self.folder / "up.log").read_text())
            yield Client(self.url)

    @contextmanager
    def api(self) -> Iterator[Client]:
        """The API alone."""
        with running(self.role("api")):
            wait_until(self._answers)
            yield Client(self.url)

    def _answers(self) -> bool:
        try:
            return Client(self.url).send("GET", "/health/live")[0] == 200
        except OSError:
            return False


@contextmanager
def redis_servers(folder: Path) -> Iterator[tuple[EmbeddedRedis, EmbeddedRedis]]:
    """A server for state, as `reservation up` runs it, and one that keeps nothing, for a queue."""
    with EmbeddedRedis(folder / "redis") as state, EmbeddedRedis(folder / "queue", durable=False) as queue:
        yield state, queue


@contextmanager
def bare_falcon(folder: Path, threads: int) -> Iterator[str]:
    """The yardstick for requests; gives its URL."""
    port = free_port()
    module = [sys.executable, "-m", "bench.bare_falcon", str(port), str(threads)]
    with running(Child("bare", module, folder / "bare.log")):
        wait_until(lambda: _listens(port))
        yield f"http://127.0.0.1:{port}"


def _listens(port: int) -> bool:
    try:
        Client(f"http://127.0.0.1:{port}").send("GET", "/")
    except OSError:
        return False
    return True


@contextmanager
def paused(pids: list[int]) -> Iterator[None]:
    """Keeps processes from running meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
