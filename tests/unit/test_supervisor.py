"""A process is replaced only by one that has come to work."""

import signal
import sys
from collections.abc import Iterator

import pytest

from reservation import signals
from reservation_cli import supervisor
from reservation_cli.supervisor import Child, Supervisor
from tests.e2e.conftest import gone

_IDLE = [sys.executable, "-c", "import time; time.sleep(60)"]
_AT_WORK = [sys.executable, "-c", "import time; from reservation import lifeline; lifeline.ready(); time.sleep(60)"]


@pytest.fixture
def stop() -> Iterator[signals.Flag]:
    """Whose handlers are taken back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield signals.Flag()
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_successor_that_does_not_come_to_work_is_ended(stop: signals.Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before it stays."""
    monkeypatch.setattr(supervisor, "_SUCCEED_S", 0.3)
    started: list[int] = []
    spawn = Child.spawn

    def noted(child: Child, ready: int | None = None) -> object:
        process = spawn(child, ready)
        started.append(process.pid)
        return process

    monkeypatch.setattr(Child, "spawn", noted)
    child, supervisor_ = Child("idle", _IDLE, renewable=True), Supervisor(1)
    supervisor_.start(child)
    try:
        assert not supervisor_._replace(child, stop)
        first, second = started
        assert gone([second])
        assert child.process is not None
        assert (child.process.pid, child.process.poll()) == (first, None)
        child.command = _AT_WORK
        monkeypatch.setattr(supervisor, "_SUCCEED_S", 30)
        assert supervisor_._replace(child, stop)
        assert gone([first])
        assert child.process.pid == started[-1]
    finally:
        supervisor_.stop()
    assert gone(started)
