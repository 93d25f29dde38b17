"""Logs: a user's UUID is a credential, and never stands in one in full."""

import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from reservation.logs import mask_users
from tests.e2e.conftest import clean_environment

USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"


@pytest.mark.parametrize(
    "text", [USER, f"/seats/get/{USER}", f"message hold('{USER.upper()}') failed", f"x{USER}0", USER.replace("-", "")]
)
def test_a_uuid_is_shortened_wherever_it_stands(text: str) -> None:
    """Its first eight digits remain, enough to follow one user through a log."""
    shown = mask_users(None, "info", {"event": text})["event"]
    assert USER[9:] not in shown.lower()
    assert USER.replace("-", "")[8:] not in shown.lower()
    assert USER[:8] in shown.lower()


def test_a_request_id_stays_whole() -> None:
    """A balancer's is often a UUID, and has to be found again."""
    assert mask_users(None, "info", {"request_id": USER}) == {"request_id": USER}
    trace = {"trace_id": USER.replace("-", "")}  # which looks like one
    assert mask_users(None, "info", dict(trace)) == trace


_CONFIGURED = """
import os, logging, sys, structlog
from reservation import logs
from reservation.settings import Settings
logs.configure(Settings(_env_file=None, redis_url="redis://x/0", log_format="json"), "test")
log = structlog.get_logger()
"""


def _run(code: str, stdout: Any = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A process that logs lines for machines, and does this."""
    return subprocess.run(
        [sys.executable, "-c", _CONFIGURED + code],
        env=clean_environment(**environment),
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=True,
        timeout=30,
    )


_LOST = """
import threading, time
log.warning("lost")
logging.getLogger("other").warning("lost too")
collected = structlog.get_config()["logger_factory"]._file
while collected._texts:
    time.sleep(0.01)
collected.drain()
log.warning("lost as well")
collected.drain()
assert "log" in [thread.name for thread in threading.enumerate()], "what writes has ended"
os.write(2, b"went on")
os._exit(0)
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    """A full disk must not end a heartbeat, or turn an answer into an error."""
    with open("/dev/full", "wb") as full:
        assert _run(_LOST, full).stderr == b"went on"


def test_a_line_is_written_within_a_moment() -> None:
    """Though the process goes on, and logs nothing more."""
    code = 'log.info("first"); sys.stdin.read()'
    with subprocess.Popen(
        [sys.executable, "-c", _CONFIGURED + code],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        written, _, _ = select.select([process.stdout], [], [], 20)
        process.kill()
        assert written, "nothing is written while it runs"


def test_the_last_lines_are_written_at_exit() -> None:
    """In the order in which they were logged, whoever did."""
    done = _run('log.info("one"); logging.getLogger("other").warning("two"); log.info("three")')
    assert [orjson.loads(line)["event"] for line in done.stdout.splitlines()] == ["one", "two", "three"]


def test_lines_are_copied_to_a_file_of_the_process(tmp_path: Path) -> None:
    """All of them, in LOG_COPY_DIR, with their process in the file's name."""
    done = _run('log.info("one"); logging.getLogger("other").warning("two")', LOG_COPY_DIR=str(tmp_path))
    (copy,) = tmp_path.iterdir()
    assert copy.name.startswith("test-")
    assert copy.read_bytes() == done.stdout
    assert len(done.stdout.splitlines()) == 2


def test_a_copy_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    """Neither the line on standard output, nor a word about it."""
    done = _run('log.info("one")', LOG_COPY_DIR=str(tmp_path / "nowhere"))
    assert (len(done.stdout.splitlines()), done.stderr) == (1, b"")


def test_a_copy_keeps_the_last_of_its_lines(tmp_path: Path) -> None:
    """What is older than its files hold is gone."""
    code = """
copy = structlog.get_config()["logger_factory"]._file
copy._copy.maxBytes = 1000
for number in range(100):
    log.info("line", number=number)
    copy.drain()
"""
    _run(code, LOG_COPY_DIR=str(tmp_path))
    files = sorted(tmp_path.iterdir())
    lines = [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert len(files) == 3
    assert max(line["number"] for line in lines) == 99
    assert all(file.stat().st_size <= 1000 for file in files)


def test_a_line_has_the_same_members_with_a_traceback_and_without() -> None:
    """Most lines are made the short way; nobody who reads them can tell."""
    done = _run(
        f"""
structlog.contextvars.bind_contextvars(request_id="{USER}", actor="{USER}")
log.warning("message", user="{USER}", seats=3)
log.warning("message", user="{USER}", seats=3, exc_info=ValueError("lost"))
"""
    )
    short, long = (orjson.loads(line) for line in done.stdout.splitlines())
    assert "exception" in long
    shape = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
    assert all(shape.fullmatch(line.pop("timestamp")) for line in (short, long))
    assert short == {name: value for name, value in long.items() if name != "exception"}
    assert (short["user"], short["actor"], short["request_id"]) == (USER[:8] + "…", USER[:8] + "…", USER)
