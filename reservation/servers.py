"""The servers of one database: one that stands alone, or of which Sentinels say where it is; reservation.cluster has
those of a cluster. Nothing is sent before it is asked for."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import redis

from reservation.clients import SOCKET_TIMEOUT_S, Command, Script, Sent, Server, options
from reservation.pipelining import OnItsWay


class Servers:
    """One server.

    Arguments:
        new_pool: makes a pool of connections to it, of redis-py's options.
        common: those options, but for what says where it is.
    """

    def __init__(self, new_pool: Callable[[dict[str, Any]], redis.ConnectionPool], common: dict[str, Any]) -> None:
        self._new_pool, self._common = new_pool, common
        self._pool = new_pool(common)
        self._server = Server(self._pool)
        self._scripts: list[Script] = []

    #: Whether there may be several, of which one can be gone.
    many = False

    @cached_property
    def client(self) -> redis.Redis:
        """redis-py's client, for tools and tests: it may wait for long."""
        return redis.Redis(connection_pool=self._pool)

    def register_script(self, text: str | bytes) -> Script:
        """Makes a script that commands may call. A server that does not know it is sent all of them."""
        script = Script.of(text if isinstance(text, str) else text.decode())
        self._scripts.append(script)
        return script

    def begin(self, commands: Sequence[Command]) -> OnItsWay:
        """Sends commands in one go. Their replies may be errors; nothing is raised."""
        return Sent(self._server, commands, self._scripts)

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Sends commands in one go and returns their replies, of which some, or all, may be errors."""
        return self.begin(commands).replies() if commands else []

    def probe(self, command: Command) -> Any:
        """Asks whether it answers, with a command that names no key. Returns the reply. Raises redis.RedisError."""
        (reply,) = self.send([command])
        if isinstance(reply, redis.RedisError):
            raise reply
        return reply

    def primaries(self) -> list[redis.Redis]:
        """A client of each server that takes writes. Raises redis.RedisError if nobody says which they are."""
        return [self.client]

    def beside(self, connections: int = 1, timeout_s: float = SOCKET_TIMEOUT_S, block_s: float = 0) -> "Servers":
        """The same with connections of its own, and the same scripts; see reservation.connections.connect."""
        servers = Servers(self._new_pool, self._own(connections, timeout_s, block_s))
        servers._scripts = self._scripts
        return servers

    def _own(self, connections: int, timeout_s: float, block_s: float) -> dict[str, Any]:
        decode = self._common["decode_responses"]
        return options(connections=connections, decode=decode, timeout_s=timeout_s, block_s=block_s)

    def close(self) -> None:
        """Closes all connections."""
        self._pool.disconnect()
