"""A sweeper process that loses a thread, or whose server is changed under it."""

import subprocess
import sys
import tempfile
from pathlib import Path

import redis

from reservation.embedded import EmbeddedRedis
from tests.conftest import wait_for
from tests.e2e.conftest import clean_environment

_RUN = "from reservation_cli.main import cli; cli(['sweeper'])"


def _start(server: EmbeddedRedis, change: str, log: Path) -> "subprocess.Popen[bytes]":
    """A sweeper, after a change to its code."""
    with open(log, "wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", f"import actors.listener, actors.sweeper; {change}; {_RUN}"],
            env=clean_environment(REDIS_URL=server.url()),
            cwd=log.parent,
            stdout=output,
            stderr=output,
        )


def test_a_sweeper_that_loses_a_thread_ends(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """With status 1, so that whoever supervises it starts another."""
    log = tmp_path / "log"
    sweeper = _start(redis_server, "actors.listener.Listener.run = lambda self: None", log)
    assert sweeper.wait(20) == 1
    assert "a thread has ended" in log.read_text()


def test_what_is_found_at_the_start_is_said_once(tmp_path: Path) -> None:
    """By the command; the sweeper's own checks begin a minute later."""
    log = tmp_path / "log"
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
        with redis.Redis.from_url(server.url()) as admin:
            admin.config_set("maxmemory-policy", "allkeys-lru")
        sweeper = _start(server, "pass", log)
        wait_for(lambda: "sweeper started" in log.read_text(), 20)
        sweeper.terminate()
        assert sweeper.wait(20) == 0
    assert log.read_text().count("would drop seats") == 1


def test_a_server_that_is_changed_later_is_noticed(tmp_path: Path) -> None:
    """Somebody sets an eviction policy while seats are sold."""
    log = tmp_path / "log"
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
        sweeper = _start(server, "actors.sweeper._CHECK_S = 0.2", log)
        try:
            wait_for(lambda: "sweeper started" in log.read_text(), 20)
            assert "noeviction" not in log.read_text()
            with redis.Redis.from_url(server.url()) as admin:
                admin.config_set("maxmemory", "1gb")
                admin.config_set("maxmemory-policy", "allkeys-lru")
            wait_for(lambda: "set maxmemory-policy noeviction" in log.read_text())
        finally:
            sweeper.terminate()
            assert sweeper.wait(20) == 0
