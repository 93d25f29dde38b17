"""Runs several processes as one: starts, restarts and replaces them, and stops them together."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from reservation import lifeline, signals, tallies

log = structlog.get_logger()

#: Time before a process that died is started again, seconds: doubling from the first to the last,
#: and back to the first once it has run for that long.
_RESTART_S, _RESTART_MAX_S = 0.2, 5.0
#: What a process may take to stop beyond what it gives itself, seconds.
_STOP_SLACK_S = 3.0
#: What a successor may take until it is at work, seconds: Python may have much to read.
_SUCCEED_S = 60.0
#: How often the processes are looked at, seconds.
_LOOK_S = 0.1


@dataclass
class Child:
    """A process that is to run.

    Attributes:
        name: what messages call it.
        command: its command line.
        log_file: where its output goes; None leaves it on this process's.
        env: variables on top of this process's.
        pass_fds: descriptors it inherits.
        renewable: whether it says when it is at work, and may run twice for as long as one takes over from the other.
    """

    name: str
    command: list[str]
    log_file: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()
    renewable: bool = False
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    backoff_s: float = field(default=_RESTART_S, init=False)
    start_at: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Starts it."""
        self.take_over(self.spawn())

    def take_over(self, process: "subprocess.Popen[bytes]") -> None:
        """From now on this process is it."""
        self.process, self.started = process, time.monotonic()

    def spawn(self, ready: int | None = None) -> "subprocess.Popen[bytes]":
        """Starts a process as it is to be. In a session of its own: a Ctrl-C in the terminal is for the parent alone.

        Arguments:
            ready: where it says that it is at work.
        """
        output = None
        if self.log_file is not None:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            output = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            return lifeline.spawn(
                self.command,
                env=self.env,
                ready=ready,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                pass_fds=self.pass_fds,
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)

    def look(self) -> None:
        """Notes its death, and starts it again when it is time to."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
                log.info("restarted", child=self.name, pid=self.process.pid if self.process else None)
        elif self.process.poll() is not None:
            if now - self.started > _RESTART_MAX_S:
                self.backoff_s = _RESTART_S
            tallies.retire(self.process.pid)
            log.warning("died", child=self.name, status=self.process.returncode, restart_in_s=self.backoff_s)
            self.start_at = now + self.backoff_s
            self.backoff_s = min(2 * self.backoff_s, _RESTART_MAX_S)
            self.process = None


class Supervisor:
    """Looks after groups of processes from one thread.

    Arguments:
        stop_timeout_s: how long a process of a group gives itself to stop. It is killed somewhat later.
    """

    def __init__(self, stop_timeout_s: float) -> None:
        self._groups: list[list[Child]] = []
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._stop_timeout_s = stop_timeout_s + _STOP_SLACK_S

    def start(self, *children: Child) -> None:
        """Starts a group and looks after it from now on."""
        self._groups.append(list(children))
        for child in children:
            child.start()

    def dead(self) -> Child | None:
        """A process that has ended, if there is one."""
        return next((c for group in self._groups for c in group if c.process and c.process.poll() is not None), None)

    def run(self, stop: signals.Flag, renewal: signals.Renewal) -> None:
        """Keeps them running until told to stop, and replaces them when told to."""
        while not stop:
            self._look()
            if renewal.take():
                self._renew(stop)
            time.sleep(_LOOK_S)

    def _look(self, but: Child | None = None) -> None:
        for group in self._groups:
            for child in group:
                if child is not but:
                    child.look()

    def _renew(self, stop: signals.Flag) -> None:
        """Replaces process after process, as long as each successor comes to work."""
        children = [child for group in self._groups for child in group if child.renewable]
        for number, child in enumerate(children):
            if not self._replace(child, stop):
                if not stop:
                    log.error("renewal broke off: the others stay as they are", renewed=number, of=len(children))
                return
        log.info("all renewed", processes=len(children))

    def _replace(self, child: Child, stop: signals.Flag) -> bool:
        """Starts a child's successor, and only once that is at work tells the child to stop; returns whether."""
        reader, ready = os.pipe()
        try:
            successor = child.spawn(ready)
        finally:
            os.close(ready)
        try:
            said = select.poll()
            said.register(reader, select.POLLIN | select.POLLHUP)
            self._wait_until(lambda: said.poll(0), _SUCCEED_S, stop, child)
            at_work = bool(said.poll(0)) and os.read(reader, 1) == b"1"
        finally:
            os.close(reader)
        if not at_work:
            if not stop:
                log.error("successor did not come to work", child=child.name, status=successor.poll())
            self._end([successor])
            return False
        former = child.process
        child.take_over(successor)
        if former is not None:
            self._leaving = [former]
            former.terminate()
            self._wait_until(lambda: former.poll() is not None, self._stop_timeout_s, stop, child)
            if not stop:
                self._end(self._leaving)
                self._leaving = []
        log.info("renewed", child=child.name, pid=successor.pid)
        return True

    def _wait_until(self, condition: Callable[[], object], most_s: float, stop: signals.Flag, busy_with: Child) -> None:
        """Waits, and looks after the other children meanwhile."""
        until = time.monotonic() + most_s
        while not condition() and not stop and time.monotonic() < until:
            self._look(but=busy_with)
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """Stops group after group, the last started first: what others depend on goes last."""
        while self._groups:
            running = [child.process for child in self._groups.pop() if child.process is not None]
            self._end([*running, *self._leaving])
            self._leaving = []

    def _end(self, processes: Sequence["subprocess.Popen[bytes]"]) -> None:
        """Tells processes to stop and waits for them."""
        for process in processes:
            process.terminate()
        until = time.monotonic() + self._stop_timeout_s
        for process in processes:
            try:
                process.wait(timeout=max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("killed, because it did not stop", pid=process.pid)
                process.kill()
                process.wait()
            tallies.retire(process.pid)
            if process.stdin is not None:  # its lifeline
                process.stdin.close()


def command(*arguments: str) -> list[str]:
    """The command line of one of our own processes."""
    return [sys.executable, "-m", "reservation_cli", *arguments]


def run_all(children: Sequence[Child], stop_timeout_s: float, before_stop: Callable[[], object] = lambda: None) -> None:
    """Runs processes until SIGTERM, SIGINT or the parent's end. SIGHUP replaces them one by one.

    Arguments:
        stop_timeout_s: how long each gives itself to stop.
        before_stop: called before they are told to.
    """
    flag = signals.Flag()
    renewal = signals.Renewal(flag)
    lifeline.watch(flag.set)
    supervisor = Supervisor(stop_timeout_s)
    try:
        supervisor.start(*children)
        supervisor.run(flag, renewal)
    finally:
        before_stop()
        supervisor.stop()
