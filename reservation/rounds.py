"""Works on many things in one thread, in rounds.

Each is worked on until it asks a server for something; then all that they ask for is sent in one go, and each goes
on with its reply. It needs no switch of threads and no wait for the interpreter, which cost more than what
there is to do, and with `appendfsync always` one sync of the disk serves the round
(docs/decisions/0009-rounds.md has the figures).

Each runs in a greenlet, which is what can be left in the middle and gone on with. What it does otherwise is as
in any thread: a call that blocks, blocks them all.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from greenlet import getcurrent, greenlet

from reservation.clients import Command
from reservation.pipelining import OnItsWay, Pipelining

log = structlog.get_logger()


class _Task(greenlet):
    """Something to be done, on its way; then something else: a greenlet is not free, above all its memory."""

    def __init__(self) -> None:
        super().__init__(self._carry_out)

    def _carry_out(self, work: Callable[[], object]) -> None:
        while True:
            work()
            work = _say(_Done())


class _Done:
    """What a task says that can be given something else to do."""


#: What never happens.
_NEVER = threading.Event()


class _Later(NamedTuple):
    """What a task says that is to be left until a time (time.monotonic), or until something happens."""

    due: float
    happens: threading.Event

    @property
    def ends(self) -> float:
        """When it is over (time.monotonic); long ago once that has happened."""
        return -math.inf if self.happens.is_set() else self.due


class _Step:
    """What a task says that is to be gone on with once the others of the round have come as far."""


class _Ask(NamedTuple):
    """What a task says that asks for something. It goes on with the replies, or with what came in their place."""

    pipelining: "RoundPipelining"
    commands: Sequence[Command]


def is_task() -> bool:
    """Whether this is a task, which can be left."""
    current = getcurrent()
    return isinstance(current, _Task) and current.parent is not None


def _say(wish: "_Done | _Later | _Step | _Ask") -> Any:
    """Leaves this task to whoever works on it, and says until when. Returns what it is gone on with."""
    return getcurrent().parent.switch(wish)  # type: ignore[union-attr]  # a task has one


def pause(seconds: float, unless: threading.Event = _NEVER) -> bool:
    """Leaves this task for a while, and whoever works on it to the others. Returns False, at once, where that is
    nobody's task: to wait there would keep a thread.

    Arguments:
        unless: ends the pause once it is set, by any thread; who works on the tasks has to be told to `wake` them.
    """
    if not is_task():
        return False
    _say(_Later(time.monotonic() + seconds, unless))
    return True


def step() -> bool:
    """Lets the other tasks of the round come as far as this one, and then what is to be done for all of them be
    done. Returns False, at once, where that is nobody's task."""
    if not is_task():
        return False
    _say(_Step())
    return True


class RoundPipelining(Pipelining):
    """Commands of the tasks of a round, sent together; those of other threads as ever."""

    def execute(self, command: Command) -> Any:
        """As Pipelining, but a task of a round is left until the reply is there."""
        if not is_task():
            return super().execute(command)
        (reply,) = self.execute_all([command])
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def execute_all(self, commands: Sequence[Command]) -> list[Any]:
        """Sends commands in one go and returns their replies, of which some may be errors. Raises what `begin`
        raises."""
        if not is_task():
            return self.begin(list(commands)).replies()
        replies = _say(_Ask(self, commands))
        if isinstance(replies, BaseException):
            raise replies
        return list(replies)


class _Line:
    """What tasks ask of one server. One go is on its way at a time, and what they ask for meanwhile makes up the
    next: the busier they are, the fewer."""

    def __init__(self) -> None:
        self.asking: list[tuple[_Task, _Ask]] = []
        self._sent: OnItsWay | None = None
        self._waiting: list[tuple[_Task, _Ask]] = []

    @property
    def tasks(self) -> int:
        """Those that ask for something or wait for the reply."""
        return len(self.asking) + len(self._waiting)

    @property
    def waits(self) -> bool:
        """Whether something is on its way."""
        return self._sent is not None

    def send(self) -> list[tuple[_Task, Any]]:
        """Sends what is asked for, unless something is on its way. Returns the tasks to be gone on with if it
        cannot be sent, and with what."""
        if self._sent is not None or not self.asking:
            return []
        asking, self.asking = self.asking, []
        try:
            self._sent = asking[0][1].pipelining.begin([command for _, ask in asking for command in ask.commands])
        except Exception as error:  # noqa: BLE001 - each task raises it
            return [(task, error) for task, _ in asking]
        self._waiting = asking
        return []

    def receive(self) -> list[tuple[_Task, Any]]:
        """Waits for the replies to what is on its way. Returns the tasks to be gone on with, and with what."""
        if self._sent is None:
            return []
        sent, waiting = self._sent, self._waiting
        self._sent, self._waiting = None, []
        try:
            replies = iter(sent.replies())
        except Exception as error:  # noqa: BLE001 - each task raises it
            return [(task, error) for task, _ in waiting]
        return [(task, [next(replies) for _ in ask.commands]) for task, ask in waiting]


class Rounds:
    """Tasks that are worked on together, by the thread that calls `work`.

    Arguments:
        at_step: does what is to be done for all tasks that have come to a `step`.
    """

    def __init__(self, at_step: Callable[[], object] = lambda: None) -> None:
        self._at_step = at_step
        self._stepping: list[_Task] = []
        self._lines: dict[Pipelining, _Line] = {}
        self._pausing: list[tuple[_Task, _Later]] = []
        self._free: list[_Task] = []

    @property
    def tasks(self) -> int:
        """Those that ask for something or wait for the reply."""
        return sum(line.tasks for line in self._lines.values())

    @property
    def pausing_s(self) -> float:
        """How long until a task goes on that pauses; infinite if none does."""
        ends = min((later.ends for _, later in self._pausing), default=math.inf)
        return max(0.0, ends - time.monotonic())

    def start(self, work: Callable[[], object]) -> None:
        """Begins a task: works on it until it asks for something, or is done. Raises what it raises."""
        self._go_on(self._free.pop() if self._free else _Task(), work)

    def work(self) -> None:
        """One round: sends what is asked for to each server that has nothing to do, and waits for the replies to what
        was on its way before. Tasks that have theirs go on while the server is busy with what was asked for
        meanwhile; where two are waited for, what they ask for next is sent before the other's replies are. Raises
        what one of them raises."""
        under_way = [line for line in self._lines.values() if line.waits]
        unsent = self._send()
        for line in under_way:
            heard = line.receive()
            if len(under_way) == 1:
                unsent += self._send()
            for task, reply in heard:
                self._go_on(task, reply)
            unsent += self._send()
        for task, error in unsent:
            self._go_on(task, error)
        if self._stepping:
            self._step()

    def _step(self) -> None:
        stepping, self._stepping = self._stepping, []
        try:
            self._at_step()
        except Exception:  # it is nobody's in particular, and must not end all of them
            log.exception("step failed")
        unsent = self._send()  # what that asked for, before they go on
        for task in stepping:
            self._go_on(task)
        for task, reply in unsent:
            self._go_on(task, reply)

    def _send(self) -> list[tuple[_Task, Any]]:
        return [each for line in self._lines.values() for each in line.send()]

    def wake(self) -> None:
        """Goes on with the tasks whose pause is over. Raises what one of them raises."""
        if self._pausing:
            now, pausing, self._pausing, over = time.monotonic(), self._pausing, [], []
            for task, later in pausing:
                if later.ends <= now:
                    over.append(task)
                else:
                    self._pausing.append((task, later))
            for task in over:
                self._go_on(task)

    def _go_on(self, task: _Task, reply: Any = None) -> None:
        wish = task.switch(reply)  # what the task raises is raised here, and it is gone then
        if isinstance(wish, _Ask):
            self._lines.setdefault(wish.pipelining, _Line()).asking.append((task, wish))
        elif isinstance(wish, _Later):
            self._pausing.append((task, wish))
        elif isinstance(wish, _Step):
            self._stepping.append(task)
        else:
            self._free.append(task)
