"""Loads the Lua scripts and calls them.

A script is sent once and then called by its hash (EVALSHA); after a restart of the server it is sent
again. `-- @include name` puts `_name.lua` in its place, once; `CODE.NAME` becomes the
number of `reservation.codes.Code`; included functions that a script does not call are left out.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any, TypeVar

import redis

from reservation import tracing
from reservation.clients import Command, is_transient, script_call, translated
from reservation.codes import Code
from reservation.errors import StateUnavailable
from reservation.guard import Guard
from reservation.metrics import timed
from reservation.pipelining import OnItsWay, Pipelining
from reservation.rounds import pause
from reservation.servers import Servers

T = TypeVar("T")

#: How long a command is tried again whose keys a cluster is moving to another node, seconds, and how often.
_PATIENCE_S, _TRY_AGAIN_S = 0.3, 0.01

_INCLUDE = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)
_CODE = re.compile(r"\bCODE\.(\w+)")
#: In one line, or up to the next `end` that is not indented.
_FUNCTION = re.compile(r"^local function (\w+)\((?:.* end|.*\n(?:(?!end$).*\n)*end)\n", re.MULTILINE)
_COMMENT = re.compile(r"--\[\[(?s:.*?)\]\]|--.*")


def source(name: str) -> str:
    """The Lua text of an operation, ready for the server. Raises KeyError for an unknown code."""
    included: set[str] = set()

    def expand(part: str) -> str:
        def include(match: re.Match[str]) -> str:
            if match[1] in included:
                return ""
            included.add(match[1])
            return expand(f"_{match[1]}")

        text = files("reservation.lua").joinpath(f"{part}.lua").read_text(encoding="utf-8")
        return _INCLUDE.sub(include, text)

    return _CODE.sub(lambda match: str(Code[match[1]].value), _called(expand(name)))


def _called(text: str) -> str:
    """A script without the functions that it does not call: Lua makes each of them anew whenever the script runs
    (docs/performance.md)."""
    for function in reversed(list(_FUNCTION.finditer(text))):  # who calls another comes after it
        if len(re.findall(rf"\b{function[1]}\b", _COMMENT.sub("", text))) == 1:
            text = text.replace(function[0], "")
    return text


class Scripts:
    """The operations of `reservation/lua`, on the state's servers.

    Arguments:
        servers: of the state, answering `str`.
        guard: while it is open, nothing is sent.
        pipelining: what sends together what several threads ask for.
    """

    def __init__(self, servers: Servers, guard: Guard, pipelining: type[Pipelining] = Pipelining) -> None:
        self.servers = servers
        self._guard = guard
        names = (f.name.removesuffix(".lua") for f in files("reservation.lua").iterdir() if f.name.endswith(".lua"))
        self._scripts = {n: servers.register_script(source(n)) for n in names if not n.startswith("_")}
        self.pipelining = pipelining(timed("state", self._begin))

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | int] = (), *, alone: bool = False) -> Any:
        """Runs one operation and returns its reply. Raises StateUnavailable.

        Arguments:
            alone: not in one go with what other threads ask for: it takes the server long.
        """
        command = self._command(name, keys, args)
        if not tracing.is_on():
            return self._carry_out(command, alone=alone)
        with tracing.script(name):
            return self._carry_out(command, alone=alone)

    def run_each(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]) -> list[Any]:
        """Runs one operation on each of several keys and arguments, in one go. Raises as `execute_each`, and replies as
        it does."""
        return self.execute_each([self._command(name, keys, args) for keys, args in calls])

    def execute_each(self, commands: Sequence[Command]) -> list[Any]:
        """Sends plain commands in one go, and returns their replies; None for what a node of a cluster would have
        answered that is gone. Raises StateUnavailable if nobody answers."""
        if not commands:
            return []
        replies = self._begin(list(commands)).replies()
        gone: list[StateUnavailable] = []
        for place, reply in enumerate(replies):
            if isinstance(reply, redis.RedisError):
                try:
                    replies[place] = self._again(commands[place], reply)
                except StateUnavailable as unavailable:
                    replies[place] = None
                    gone.append(unavailable)
        if gone and (not self.servers.many or len(gone) == len(replies)):
            raise gone[0]
        return replies

    def execute(self, *command: str | bytes | float) -> Any:
        """Sends a plain command, with what others ask for, and returns its reply. Raises StateUnavailable."""
        if not self._guard.closed:
            raise StateUnavailable
        try:
            return self.pipelining.execute(command)
        except redis.RedisError as error:
            return self._again(command, error)

    def some_answer(self) -> bool:
        """Whether any server answers, of which there are several."""
        if not (self.servers.many and self._guard.closed):
            return False
        try:
            self.servers.probe(("PING",))
        except redis.RedisError:
            return False
        return True

    def of_each_server(self, ask: Callable[[redis.Redis], Iterable[T]]) -> Iterator[T]:
        """What each server that has keys answers to a client of redis-py's; of a cluster, those that answer. Raises
        StateUnavailable."""
        try:
            servers = self.servers.primaries()
        except redis.RedisError as error:
            raise translated(error) from error
        for server in servers:
            try:
                yield from ask(server)
            except redis.RedisError as error:
                if not (self.servers.many and is_transient(error)):
                    raise translated(error) from error

    def _carry_out(self, command: Command, *, alone: bool) -> Any:
        if alone:
            (reply,) = self.execute_each([command])
            return reply
        return self.execute(*command)

    def _again(self, command: Command, error: redis.RedisError) -> Any:
        """What comes of a command that failed: its reply after all, where its keys were on their way from one node
        of a cluster to another. Raises StateUnavailable, or the error."""
        until = time.monotonic() + _PATIENCE_S
        while isinstance(error, redis.exceptions.TryAgainError) and time.monotonic() < until:
            if not pause(_TRY_AGAIN_S):
                time.sleep(_TRY_AGAIN_S)
            try:
                return self.pipelining.execute(command)
            except redis.RedisError as again:
                error = again
        raise translated(error) from error

    def _command(self, name: str, keys: Sequence[str], args: Sequence[str | int]) -> Command:
        return script_call(self._scripts[name], keys, args)

    def _begin(self, commands: list[Command]) -> OnItsWay:
        if not self._guard.closed:  # by now: the caller may have waited for its turn
            raise StateUnavailable
        return self.servers.begin(commands)
