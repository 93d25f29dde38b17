"""The folder that processes share: made once, added up, and gone in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reservation import tallies

#: Counts so many expiries, in the folder that is given by environment, and says who has.
_COUNT = """
import os, sys
from reservation import metrics
metrics.EXPIRED.inc(int(sys.argv[1]))
metrics.connections_open(int(sys.argv[1]), 100)
print(os.getpid(), flush=True)
sys.stdin.read()
"""
_SHOW = "from reservation import metrics; print(metrics.exposition(metrics.registry(), '')[0].decode())"


def _shown() -> str:
    return subprocess.run([sys.executable, "-c", _SHOW], capture_output=True, text=True, check=True).stdout


class _Counter:
    """A process that has counted, and lives until it is told to end."""

    def __init__(self, count: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COUNT, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.pid = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(autouse=True)
def _as_outermost(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (tallies.VARIABLE, tallies._OURS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_outermost_process_has_the_folder() -> None:
    """Those inside share it, and it goes with the outermost."""
    with tallies.shared() as outermost:
        folder = Path(os.environ[tallies.VARIABLE])
        assert outermost
        with tallies.shared() as inner:
            assert not inner
            assert os.environ[tallies.VARIABLE] == str(folder)
        assert folder.is_dir()
    assert not folder.exists()
    assert tallies.VARIABLE not in os.environ


def test_somebody_elses_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have figures of before in it."""
    monkeypatch.setenv(tallies.VARIABLE, str(tmp_path))
    with tallies.shared() as outermost:
        assert outermost
        assert os.environ[tallies.VARIABLE] != str(tmp_path)
    assert os.environ[tallies.VARIABLE] == str(tmp_path)
    assert tmp_path.is_dir()


def test_what_a_killed_process_left_is_removed_by_the_next() -> None:
    """But not what a living one has, nor what has no owner yet."""
    with tallies.shared():
        living = Path(os.environ[tallies.VARIABLE])
        left, new = (living.with_name(f"{living.name}-{name}") for name in ("left", "new"))
        for folder in (left, new):
            folder.mkdir()
        try:
            os.close(tallies._own(left))  # as the system does when a process ends
            tallies._remove_left(living.parent)
            assert not left.exists()
            assert living.exists()
            assert new.exists()
        finally:
            new.rmdir()


def test_a_dead_process_has_counted_but_is_no_more() -> None:
    """Its counters stay in the sum, its gauges go; however many have died, in no more files than one of each kind."""
    with tallies.shared():
        counters = [_Counter(count) for count in (3, 4, 5)]
        assert "reservation_holds_expired_total 12.0" in _shown()
        assert "reservation_http_connections 12.0" in _shown()
        for counter in counters[:2]:
            counter.kill()
            tallies.retire(counter.pid)
        assert "reservation_holds_expired_total 12.0" in _shown()
        assert "reservation_http_connections 5.0" in _shown()
        files = {path.name for path in Path(os.environ[tallies.VARIABLE]).glob("counter_*.db")}
        assert f"counter_{counters[0].pid}.db" not in files
        assert f"counter_{tallies._DEAD}.db" in files
        counters[2].kill()


def test_retiring_never_raises() -> None:
    """Of a process that has counted nothing, or in a file that cannot be read: others have to be looked
    after, and scraped."""
    tallies.retire(1)
    with tallies.shared():
        tallies.retire(1)
        broken = Path(os.environ[tallies.VARIABLE]) / "counter_1.db"
        broken.write_bytes(b"\xff" * 100)
        tallies.retire(1)
        assert not broken.exists()
