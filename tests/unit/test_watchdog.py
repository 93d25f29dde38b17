"""A process that has lost a thread ends, to be replaced."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.watchdog import Watchdog
from tests.conftest import wait_for


@pytest.fixture
def told() -> Iterator[list[int]]:
    """The signals that this process is sent meanwhile."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


def test_a_thread_that_ends_ends_the_process(told: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """By SIGTERM, so that what runs is finished; and it is known which it was."""
    monkeypatch.setattr("actors.watchdog._LOOK_S", 0.01)
    let_go = threading.Event()
    threads = [threading.Thread(target=let_go.wait, name="one"), threading.Thread(target=lambda: None, name="other")]
    for thread in threads:
        thread.start()
    watchdog = Watchdog(lambda: threads)
    watchdog.start()
    wait_for(lambda: told == [signal.SIGTERM])
    assert watchdog.found == "other"
    let_go.set()


def test_threads_may_end_once_the_process_is_stopping(told: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is replaced then."""
    monkeypatch.setattr("actors.watchdog._LOOK_S", 0.01)
    looked: list[int] = []
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()

    def threads() -> list[threading.Thread]:
        looked.append(1)
        return [thread]

    watchdog = Watchdog(threads)
    watchdog.stop()
    watchdog.start()
    wait_for(lambda: not any(t.name == "watchdog" for t in threading.enumerate()))
    assert (looked, told, watchdog.found) == ([], [], "")


def test_a_heartbeat_as_long_as_all_live(told: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever looks at the file sees that the process works; not if it has lost a thread."""
    monkeypatch.setattr("actors.watchdog._LOOK_S", 0.01)
    file = tmp_path / "heartbeat"
    let_go = threading.Event()
    thread = threading.Thread(target=let_go.wait)
    thread.start()
    Watchdog(lambda: [thread], file).start()
    wait_for(file.exists)
    before = file.stat().st_mtime_ns
    wait_for(lambda: file.stat().st_mtime_ns > before)
    let_go.set()
    wait_for(lambda: told == [signal.SIGTERM])
    last = file.stat().st_mtime_ns
    wait_for(lambda: not any(t.name == "watchdog" for t in threading.enumerate()))
    assert file.stat().st_mtime_ns == last


def test_a_heartbeat_that_cannot_be_written_ends_nobody(
    told: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full disk is no reason to stop selling."""
    monkeypatch.setattr("actors.watchdog._LOOK_S", 0.01)
    looked: list[int] = []

    def threads() -> list[threading.Thread]:
        looked.append(1)
        return []

    watchdog = Watchdog(threads, tmp_path / "nowhere" / "heartbeat")
    watchdog.start()
    wait_for(lambda: len(looked) > 3)
    watchdog.stop()
    assert told == []
