"""Works on many things in one thread, in rounds.

Each is worked on until it asks Redis for something; then all that they ask for is sent in one go, and each goes
on with its reply. It needs no switch of threads and no wait for the interpreter, which cost more than what
there is to do, and with `appendfsync always` one sync of the disk serves the round
(docs/decisions/0009-rounds.md has the figures).

Each runs in a greenlet, which is what can be left in the middle and gone on with. What it does otherwise is as
in any thread: a call that blocks, blocks them all.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from greenlet import getcurrent, greenlet

from reservation.clients import Command
from reservation.pipelining import Pipelining

log = structlog.get_logger()


class _Task(greenlet):
    """Something to be done, on its way."""


class _Later(NamedTuple):
    """What a task says that is to be left until a time (time.monotonic)."""

    due: float


def pause(seconds: float) -> bool:
    """Leaves this task for a while, and whoever works on it to the others. Returns False, at once, where that is
    nobody's task: to wait there would keep a thread."""
    current = getcurrent()
    if not isinstance(current, _Task) or current.parent is None:
        return False
    current.parent.switch(_Later(time.monotonic() + seconds))
    return True


class _Step:
    """What a task says that is to be gone on with once the others of the round have come as far."""


def step() -> bool:
    """Lets the other tasks of the round come as far as this one, and then what is to be done for all of them be
    done. Returns False, at once, where that is nobody's task."""
    current = getcurrent()
    if not isinstance(current, _Task) or current.parent is None:
        return False
    current.parent.switch(_Step())
    return True


class RoundPipelining(Pipelining):
    """Commands of the tasks of a round, sent together; those of other threads as ever."""

    def execute(self, command: Command) -> Any:
        """As Pipelining, but a task of a round is left until the reply is there."""
        current = getcurrent()
        if not isinstance(current, _Task) or current.parent is None:
            return super().execute(command)
        reply = current.parent.switch(command)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def send_together(self, commands: list[Command]) -> list[Any]:
        """Sends commands in one go. What fails as a whole is the reply to each."""
        try:
            return self._send(commands)
        except Exception as error:  # noqa: BLE001 - each task raises it
            return [error] * len(commands)


class Rounds:
    """Tasks that are worked on together, by the thread that calls `work`.

    Arguments:
        pipelining: what the tasks ask Redis with.
        at_step: does what is to be done for all tasks that have come to a `step`.
    """

    def __init__(self, pipelining: RoundPipelining, at_step: Callable[[], object] = lambda: None) -> None:
        self._pipelining = pipelining
        self._at_step = at_step
        self._stepping: list[_Task] = []
        self._asking: list[tuple[_Task, Command]] = []
        self._pausing: list[tuple[_Task, float]] = []

    @property
    def tasks(self) -> int:
        """Those that can be gone on with."""
        return len(self._asking) + len(self._stepping)

    @property
    def pausing_s(self) -> float:
        """How long until a task goes on that pauses; infinite if none does."""
        return min((due for _, due in self._pausing), default=math.inf) - time.monotonic()

    def start(self, work: Callable[[], object]) -> None:
        """Begins a task: works on it until it asks for something, or is done. Raises what it raises."""
        self._go_on(_Task(work))

    def work(self) -> None:
        """One round: gets all that is asked for, and goes on with each task. Raises what one of them raises."""
        asking, self._asking = self._asking, []
        replies = self._pipelining.send_together([command for _, command in asking]) if asking else []
        for (task, _), reply in zip(asking, replies, strict=True):
            self._go_on(task, reply)
        if self._stepping:
            stepping, self._stepping = self._stepping, []
            try:
                self._at_step()
            except Exception:  # it is nobody's in particular, and must not end all of them
                log.exception("step failed")
            for task in stepping:
                self._go_on(task)

    def wake(self) -> None:
        """Goes on with the tasks whose pause is over. Raises what one of them raises."""
        if self._pausing:
            now, pausing = time.monotonic(), self._pausing
            self._pausing = [(task, due) for task, due in pausing if due > now]
            for task, due in pausing:
                if due <= now:
                    self._go_on(task)

    def _go_on(self, task: _Task, *reply: Any) -> None:
        wish = task.switch(*reply)
        if task.dead:
            return
        if isinstance(wish, _Later):
            self._pausing.append((task, wish.due))
        elif isinstance(wish, _Step):
            self._stepping.append(task)
        else:
            self._asking.append((task, wish))
