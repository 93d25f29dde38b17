"""The commands that look at a running service, as an operator has them."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from reservation.embedded import EmbeddedRedis
from tests.conftest import wait_for
from tests.e2e.conftest import COMMAND, Service, clean_environment, free_port


def command(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command in a service's folder, to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_status_finds_what_up_runs(service: Service) -> None:
    """Without any setting, in the same folder: as a table, and for machines."""
    service.create(10)
    shown = command(service.folder, "status", "--once", "--interval", "0.1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "ready" in shown.stdout
    assert "\x1b" not in shown.stdout, "no terminal, no colours"
    said: dict[str, Any] = json.loads(command(service.folder, "status", "--once", "--json", "--interval", "0.1").stdout)
    assert (said["status"], said["workers"], said["sweepers"], said["rate"]) == ("ready", 2, 1, 0.0)


def test_status_goes_on_in_a_terminal_until_interrupted(service: Service) -> None:
    """In one place of the screen, and then ends with status 0."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "status", "--interval", "0.1"],
        cwd=service.folder,
        env=clean_environment(TERM="xterm"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while shown.count(b"workers") < 3:
        shown += os.read(controller, 65_536)
    assert b"\x1b[1A" in shown, "it goes back to where it began"
    process.send_signal(signal.SIGINT)
    wait_for(lambda: process.poll() is not None)
    os.close(controller)
    assert process.returncode == 0


def test_status_tells_by_its_exit_what_is_missing(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """1: nobody works; 2: no state. Without a server, an error that says so."""
    degraded = command(tmp_path, "status", "--once", "--interval", "0.1", REDIS_URL=redis_server.url())
    assert degraded.returncode == 1, degraded.stdout
    assert "no worker" in degraded.stdout
    gone = command(tmp_path, "status", "--once", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert gone.returncode == 2, gone.stdout
    assert "state unreachable" in gone.stdout


@pytest.mark.parametrize(
    "arguments", [("status", "--once"), ("jobs", "list"), ("jobs", "show", f"k3v9x2m7qa-{25 * 'a'}")]
)
def test_where_nothing_runs_that_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """With the settings that would name a server."""
    shown = command(tmp_path, *arguments)
    assert shown.returncode == 1
    assert shown.stderr.startswith("Error: REDIS_URL: is not set, nor is REDIS_HOST, and no `reservation up` runs")
    assert len(shown.stderr.splitlines()) == 1


def test_jobs_are_listed_and_shown(service: Service) -> None:
    """As lines, and one by one; users are shortened unless they are asked for."""
    event, user = service.create(10), str(uuid4())
    service.buyer(user).hold(f"{event}-1").result()
    job = service.buyer(user).reserve(f"{event}-1")
    listed = command(service.folder, "jobs", "list", "--event", event)
    assert listed.returncode == 0, listed.stderr
    _, newest, older = listed.stdout.splitlines()
    assert newest.split()[:5] == [job.id, "RESERVE_SEAT", "standard", "completed", f"{event}-1"]
    assert "HOLD_SEAT" in older
    shown = command(service.folder, "jobs", "show", job.id)
    assert "The seat is reserved for you." in shown.stdout
    assert ["code", "reserved"] in [line.split() for line in shown.stdout.splitlines()]
    assert user[:8] in shown.stdout
    for text in (listed.stdout, shown.stdout, command(service.folder, "jobs", "show", job.id, "--json").stdout):
        assert user not in text
    assert user in command(service.folder, "jobs", "show", job.id, "--reveal").stdout
    assert user in command(service.folder, "jobs", "list", "--event", event, "--json", "--reveal").stdout


def test_a_job_about_several_seats_is_shown(service: Service) -> None:
    """With when each hold ends, and nobody's UUID."""
    event, user = service.create(10), str(uuid4())
    ids = [f"{event}-1", f"{event}-2"]
    job = service.buyer(user).hold(ids)
    shown = command(service.folder, "jobs", "show", job.id)
    assert shown.returncode == 0, shown.stderr
    assert " ".join(ids) in shown.stdout
    assert " ".join(ids) in command(service.folder, "jobs", "list", "--event", event).stdout
    as_json = command(service.folder, "jobs", "show", job.id, "--json").stdout
    assert [seat["UUID"][:8] for seat in json.loads(as_json)["result"]["seats"]] == [user[:8]] * 2
    assert user not in as_json + shown.stdout


def test_what_cannot_be_repeated_is_refused(service: Service) -> None:
    """In one line, with status 1."""
    event = service.create(10)
    job = service.buyer().hold(f"{event}-1")
    unknown = f"{event}-{25 * 'a'}"
    for wrong, says in (
        (job.id, "Error: This job is completed. Only one that has failed can be repeated."),
        (unknown, "Error: There is no job with this id, or its result is no longer kept."),
        ("12", "Error: A job id is an event id, a hyphen and 25 lower-case letters and digits."),
    ):
        refused = command(service.folder, "jobs", "retry", wrong)
        assert (refused.returncode, refused.stderr.strip()) == (1, says)


def test_a_failed_job_is_repeated(make_service: Callable[..., Service]) -> None:
    """Nobody worked until its deadline; the repeated one is carried out, and says what it repeats."""
    service = make_service(WORKER_PROCESSES="1", HOLD_JOB_DEADLINE="1")
    (worker,) = (pid for pid, line in service.process.family().items() if " worker" in line)
    os.kill(worker, signal.SIGSTOP)
    event = service.create(10)
    failed = service.buyer().hold(f"{event}-1")
    assert (failed.status, failed.retry_of) == ("failed", None)
    os.kill(worker, signal.SIGCONT)
    repeated = command(service.folder, "jobs", "retry", failed.id, HOLD_JOB_DEADLINE="30")
    assert repeated.returncode == 0, repeated.stderr
    job = repeated.stdout.split()[-1]
    ended = service.buyer().wait_for_job(job)
    assert [seat.id for seat in ended.result()] == [f"{event}-1"]
    assert ended.retry_of == failed.id
    again = command(service.folder, "jobs", "retry", failed.id)
    assert (again.returncode, again.stdout) == (0, f"done already by {job}\n")


def test_a_service_that_was_just_started_is_well(service: Service) -> None:
    """The doctor says so in a few lines; for machines, each thing that was looked at."""
    url = f"http://127.0.0.1:{service.port}"
    shown = command(service.folder, "doctor", "--url", url)
    assert shown.returncode == 0, shown.stdout
    assert shown.stdout.splitlines()[-1] == "Nothing has to be changed."
    assert len(shown.stdout.splitlines()) < 12
    said = json.loads(command(service.folder, "doctor", "--url", url, "--json").stdout)
    assert (said["worst"], {finding["level"] for finding in said["findings"]}) == ("ok", {"ok"})


def test_the_doctor_fails_where_something_does_not_work(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """With what to do about it."""
    shown = command(tmp_path, "doctor", REDIS_URL=redis_server.url())
    assert shown.returncode == 1
    assert "start `reservation worker`" in shown.stdout
