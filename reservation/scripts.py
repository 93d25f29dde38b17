"""Loads the Lua scripts and calls them.

A script is sent once and then called by its hash (EVALSHA); after a restart of the server it is sent
again. `-- @include name` puts `_name.lua` in its place, once; `CODE.NAME` becomes the
number of `reservation.codes.Code`.
"""

import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import redis

from reservation.clients import Command, Sent, drop_idle, script_call, translated
from reservation.codes import Code
from reservation.errors import StateUnavailable
from reservation.guard import Guard
from reservation.pipelining import Pipelining

_INCLUDE = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)
_CODE = re.compile(r"\bCODE\.(\w+)")


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

    return _CODE.sub(lambda match: str(Code[match[1]].value), expand(name))


class Scripts:
    """The operations of `reservation/lua`, on one client.

    Arguments:
        client: of the state database, answering `str`.
        guard: while it is open, nothing is sent.
        pipelining: what sends together what several threads ask for.
    """

    def __init__(self, client: redis.Redis, guard: Guard, pipelining: type[Pipelining] = Pipelining) -> None:
        self.client = client
        self._guard = guard
        names = (f.name.removesuffix(".lua") for f in files("reservation.lua").iterdir() if f.name.endswith(".lua"))
        self._scripts = {n: client.register_script(source(n)) for n in names if not n.startswith("_")}
        self.pipelining = pipelining(self._begin)

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | int] = (), *, alone: bool = False) -> Any:
        """Runs one operation and returns its reply. Raises StateUnavailable.

        Arguments:
            alone: not in one go with what other threads ask for: it takes the server long.
        """
        command = self._command(name, keys, args)
        return self.call(lambda _: self._alone(command) if alone else self.pipelining.execute(command))

    def run_each(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]) -> list[Any]:
        """Runs one operation on each of several keys and arguments, in one go. Raises StateUnavailable."""
        return self.execute_each([self._command(name, keys, args) for keys, args in calls])

    def execute_each(self, commands: Sequence[Command]) -> list[Any]:
        """Sends plain commands in one go, and returns their replies. Raises StateUnavailable."""
        replies: list[Any] = self.call(lambda _: self._begin(list(commands)).replies())
        for reply in replies:
            if isinstance(reply, redis.RedisError):
                raise translated(reply) from reply
        return replies

    def execute(self, *command: str | int) -> Any:
        """Sends a plain command, with what others ask for, and returns its reply. Raises StateUnavailable."""
        return self.call(lambda _: self.pipelining.execute(command))

    def call(self, command: Callable[[redis.Redis], Any]) -> Any:
        """Sends plain commands and returns the reply. Raises StateUnavailable."""
        if not self._guard.closed:
            raise StateUnavailable
        try:
            return command(self.client)
        except redis.RedisError as error:
            if isinstance(error, redis.TimeoutError):
                # The idle connections may be as dead as this one was: let no other call find that out.
                drop_idle(self.client)
            raise translated(error) from error

    def _command(self, name: str, keys: Sequence[str], args: Sequence[str | int]) -> Command:
        return script_call(self._scripts[name], keys, args)

    def _alone(self, command: Command) -> Any:
        (reply,) = self._begin([command]).replies()
        if isinstance(reply, redis.RedisError):
            raise reply
        return reply

    def _begin(self, commands: list[Command]) -> Sent:
        if not self._guard.closed:  # by now: the caller may have waited for its turn
            raise StateUnavailable
        return Sent(self.client, commands, self._scripts.values())
