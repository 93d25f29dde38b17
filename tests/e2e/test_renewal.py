"""SIGHUP: every process is replaced, one after the other, and nobody notices."""

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from reservation.embedded import EmbeddedRedis
from tests.conftest import wait_for
from tests.e2e.conftest import COMMAND, Process, Service, clean_environment, free_port, gone

Make = Callable[..., Service]


@dataclass
class Load:
    """What clients saw."""

    answered: int = 0
    ended: int = 0
    wrong: list[str] = field(default_factory=list)


def _buy(url: str, event: str, seats: range, load: Load, stop: threading.Event, *, keep: bool) -> None:
    """Holds and releases seat after seat, each time until its job has ended, over one connection or many."""
    user, client = str(uuid4()), httpx.Client(base_url=url, timeout=10)
    try:
        while not stop.is_set():
            for number in seats:
                action = {"id": f"{event}-{number}", "UUID": user}
                queued = client.post("/seats/hold", json=action)
                load.answered += 1
                assert queued.status_code == 202, queued.text
                while (job := client.get(queued.json()["statusEndpoint"]).json())["status"] in ("waiting", "active"):
                    load.answered += 1
                assert job["result"]["success"], job
                load.ended += 1
                assert client.post("/seats/release", json=action).status_code == 204
                if not keep:
                    client.close()
                    client = httpx.Client(base_url=url, timeout=10)
    except (httpx.HTTPError, AssertionError) as error:
        load.wrong.append(repr(error))
    finally:
        client.close()


@contextmanager
def _under_load(service: Service) -> Iterator[Load]:
    """Six clients that never rest, each with seats of its own."""
    event, load, stop = service.create(60), Load(), threading.Event()
    url = str(service.http.base_url)
    threads = [
        threading.Thread(
            target=_buy,
            args=(url, event, range(5 * n + 1, 5 * n + 6), load, stop),
            kwargs={"keep": n % 2 == 0},
        )
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: load.ended > 20 or load.wrong)
        yield load
        more = load.ended + 20
        wait_for(lambda: load.ended > more or load.wrong)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_all_processes_are_replaced_and_no_request_fails(make_service: Make) -> None:
    """Twice, under load: new processes of every role, the same Redis servers, every answer as it should be."""
    service = make_service(API_PROCESSES="2", WORKER_PROCESSES="2")
    with _under_load(service) as load:
        for times in (1, 2):
            before = service.process.family()
            served = load.answered
            service.process.process.send_signal(signal.SIGHUP)
            wait_for(lambda: service.process.output.count("all renewed") == times or load.wrong, 100)  # noqa: B023 - now
            after = service.process.family()
            replaced = {line for pid, line in before.items() if pid not in after}
            assert load.wrong == []
            roles = {line.split(" reservation_cli ")[-1].split()[0] for line in replaced}
            assert roles == {"api", "stream", "worker", "sweeper"}
            assert sorted(before.values()) == sorted(after.values())
            assert sum(pid not in after for pid in before) == 6
            assert load.answered > served
    assert load.wrong == []
    assert "died" not in service.process.output
    family = service.process.family()
    assert service.process.stop() == 0
    assert gone(list(family))


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_command_with_several_processes_replaces_them(redis_server: EmbeddedRedis, tmp_path: Path, role: str) -> None:
    """As `up` does."""
    process = Process(
        role, "--processes", "2", cwd=tmp_path, REDIS_URL=redis_server.url(), PORT=str(free_port()), LOG_FORMAT="json"
    )
    says = {"api": "serving", "worker": "worker started"}[role]
    wait_for(lambda: process.output.count(says) == 2, 30)
    before = process.family()
    process.process.send_signal(signal.SIGHUP)
    process.wait_for_line("all renewed", 60)
    assert gone(list(before))
    assert len(process.family()) == 2
    assert process.stop() == 0


def test_a_successor_that_does_not_start_changes_nothing(make_service: Make) -> None:
    """A setting that cannot be: what runs goes on, and the next time it is right again."""
    service = make_service(API_PROCESSES="2", WORKER_PROCESSES="1")
    before = service.process.family()
    wrong = service.folder / ".env"
    wrong.write_text("LOCK_EXPIRATION_TIME=soon\n")
    service.process.process.send_signal(signal.SIGHUP)
    service.process.wait_for_line("renewal broke off", 60)
    assert service.process.family() == before
    event = service.create(10)
    assert service.buyer().hold(f"{event}-1").result()
    wrong.write_text("LOCK_EXPIRATION_TIME=7\n")
    service.process.process.send_signal(signal.SIGHUP)
    service.process.wait_for_line("all renewed", 60)
    (seat,) = service.buyer().hold(f"{event}-2").result()
    assert seat.expires_at
    assert seat.server_time
    assert seat.expires_at - seat.server_time <= 7_000


def test_stopping_ends_a_renewal_too(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """Neither the old processes nor a successor is left."""
    process = Process("worker", "--processes", "2", cwd=tmp_path, REDIS_URL=redis_server.url())
    wait_for(lambda: process.output.count("worker started") == 2, 30)
    process.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(process.family()) == 3)
    family = process.family()
    assert process.stop() == 0
    assert gone(list(family))
    assert "renewed" not in process.output


def test_a_terminal_that_is_closed_stops_it(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """SIGHUP is what its system sends then, and nobody is there to stop it any more."""
    controller, terminal = pty.openpty()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "worker", "--processes", "2"],
            cwd=tmp_path,
            env=clean_environment(REDIS_URL=redis_server.url()),
            stdin=terminal,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: _in_terminal(terminal, output.fileno()),
        )
    os.close(terminal)
    try:
        wait_for(lambda: log.read_bytes().count(b"worker started") == 2, 30)
    finally:
        os.close(controller)
    assert process.wait(30) == 0
    assert b"renewed" not in log.read_bytes()


def _in_terminal(terminal: int, output: int) -> None:
    """Makes this process the first of a session in a terminal; what it says goes elsewhere."""
    kept = os.dup(output)
    os.login_tty(os.dup(terminal))
    os.dup2(kept, 1)
    os.dup2(kept, 2)
