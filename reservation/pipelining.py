"""Many threads' commands in few round trips.

A thread that finds nobody sending sends its own command at once: an idle service has one round trip and
no hand-over. What others ask for meanwhile is sent in one go by the first of them, as soon as the replies
are there: the busier a process, the fewer its round trips, and with `appendfsync always` all commands of
one go share one sync of the disk (docs/decisions/0009-rounds.md).
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from reservation.clients import Command


class OnItsWay(Protocol):
    """What was sent in one go (reservation.clients.Sent)."""

    def replies(self) -> list[Any]:
        """Waits for the replies, one for each command, of which some may be errors."""


class _Waiting:
    """A command and the thread that waits for its reply."""

    __slots__ = ("command", "replied", "reply", "turn")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.reply: Any = None
        self.replied = False
        self.turn = threading.Lock()
        self.turn.acquire()


class Pipelining:
    """Commands of several threads, sent together.

    Arguments:
        begin: sends commands.
        at_once: how many calls of `begin` may be on their way at once.
    """

    def __init__(self, begin: Callable[[list[Command]], OnItsWay], at_once: int = 1) -> None:
        self.begin = begin
        self._free = at_once
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def execute(self, command: Command) -> Any:
        """Sends a command and returns its reply. Raises a reply that is an error, and what `begin` raises."""
        own = _Waiting(command)
        with self._lock:
            leads = self._free > 0
            if leads:
                self._free -= 1
            else:
                self._waiting.append(own)
        if not leads:
            own.turn.acquire()
        if not own.replied:
            self._lead(own)
        if isinstance(own.reply, BaseException):
            raise own.reply
        return own.reply

    def _lead(self, own: _Waiting) -> None:
        """Sends one's own command with all that wait, and passes the turn on to whoever came meanwhile."""
        with self._lock:
            together = [own, *self._waiting]
            self._waiting.clear()
        try:
            replies = self.begin([each.command for each in together]).replies()
        except BaseException as error:  # noqa: BLE001 - each of them raises it
            replies = [error] * len(together)
        with self._lock:
            if self._waiting:
                self._waiting.popleft().turn.release()
            else:
                self._free += 1
        for each, reply in zip(together, replies, strict=True):
            each.reply, each.replied = reply, True
            each.turn.release()
