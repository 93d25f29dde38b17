"""The commands that look at a running service, as an operator has them."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("arguments", [("status", "--once")])
def test_where_nothing_runs_that_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """With the settings that would name a server."""
    shown = command(tmp_path, *arguments)
    assert shown.returncode == 1
    assert shown.stderr.startswith("Error: REDIS_URL: is not set, nor is REDIS_HOST, and no `reservation up` runs")
    assert len(shown.stderr.splitlines()) == 1
