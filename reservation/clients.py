"""Commands on their way to a Redis server, and what its errors mean. Every wait is bounded, but for the lookup of a
host's name."""

import re
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha1
from queue import Empty
from threading import Lock
from typing import Any, NamedTuple

import hiredis
import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from reservation.errors import StateUnavailable

#: Longest wait for a reply, seconds.
SOCKET_TIMEOUT_S = 2.0
#: The same where a client of ours waits for the answer meanwhile, seconds.
REQUEST_TIMEOUT_S = 0.5
#: Longest wait for a connection to the server, or for one of the pool's to come free, seconds.
CONNECT_TIMEOUT_S = 1.0

#: What passes by itself. Everything else that Redis answers is a mistake of ours.
#: `redis.TimeoutError` is no `redis.ConnectionError`, and both mean that nobody answered.
_TRANSIENT = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
    # A node of a cluster that has, and has not, a slot: of which the others have still to hear.
    redis.exceptions.MovedError,
    redis.exceptions.AskError,
)
#: Replies that redis-py has no class for. Redis 6.2 wraps what a script ran into in a text of its own.
_TRANSIENT_REPLY = re.compile(r"(^|-)(BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY)\b").search


def options(*, connections: int, decode: bool, timeout_s: float, block_s: float) -> dict[str, Any]:
    """redis-py's options for a pool of connections whose every call ends in bounded time.

    Arguments:
        connections: most at once; a caller beyond that waits up to a second.
        decode: whether replies are `str` rather than `bytes` (Dramatiq wants bytes).
        timeout_s: longest wait for a reply.
        block_s: how long its blocking commands may block, in seconds, on top of the usual wait.
    """
    return {
        "max_connections": connections,
        "decode_responses": decode,
        "socket_timeout": timeout_s + block_s,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, timeout_s),
        "health_check_interval": 15,
        # A reply that is lost makes this run a script twice: each is safe to run twice. What timed out
        # is not sent again: who waits for it has waited long enough.
        "retry": Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.2), 3, supported_errors=(redis.ConnectionError,)),
    }


#: A command and its arguments. A tuple: hiredis takes nothing else.
Command = tuple[str | bytes | int | float, ...]


class Script(NamedTuple):
    """A Lua script and the hash that a server knows it by."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> "Script":
        return cls(text, sha1(text.encode()).hexdigest())  # noqa: S324 - the server's choice


def script_call(script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Command:
    """The command that calls a script by its hash."""
    return ("EVALSHA", script.sha, len(keys), *keys, *args)


class Server(redis.Redis):
    """redis-py's client of one server. It gives replies as they come, and keeps the connection that the last go left:
    a loan of the pool's takes as much of the processor as the round trip (docs/performance.md).

    Arguments:
        pool: redis-py's. Of the only connection in it none is kept, as what is sent again goes through the pool.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        self.response_callbacks.clear()
        self._most = 1 if pool.max_connections > 1 else 0
        self._kept: list[Any] = []
        self._keeping = Lock()

    def take(self) -> Any:
        """A connection, which may have been lost meanwhile. Raises redis.RedisError."""
        try:
            return self._kept.pop()
        except IndexError:
            return self.connection_pool.get_connection()

    def give_back(self, connection: Any) -> None:
        """Takes one back that has nothing left to be read."""
        with self._keeping:
            if len(self._kept) < self._most:
                self._kept.append(connection)
                return
        self.connection_pool.release(connection)

    def discard(self, connection: Any) -> None:
        """Takes one back on which something may still come, that would be taken for another's reply."""
        connection.disconnect()
        self.connection_pool.release(connection)

    def drop_idle(self) -> None:
        """Closes the connections that nobody is using."""
        with suppress(IndexError):
            while True:
                self.discard(self._kept.pop())
        pool = self.connection_pool
        if not isinstance(pool, redis.BlockingConnectionPool):
            pool.disconnect(inuse_connections=False)
            return
        # Its own `disconnect` may close one that another thread has just taken, so they are taken first.
        idle: list[Any] = []
        with suppress(Empty):
            while True:
                idle.append(pool.pool.get_nowait())
        for connection in idle:
            if connection is not None:  # a place that was never used
                connection.disconnect()
            pool.pool.put_nowait(connection)


class Sent:
    """Commands that were sent to a server in one go, and whose replies are waited for when there is nothing else to
    do.

    This is redis-py's pipeline in two halves, without what it does for commands that none of ours is; what to do
    about a lost connection is left to redis-py's own.

    Arguments:
        server: that it is.
        commands: at least one.
        scripts: those that the commands may call.
    """

    def __init__(self, server: Server, commands: Sequence[Command], scripts: Sequence[Script]) -> None:
        self._server, self._commands, self._scripts = server, commands, scripts
        self._connection: Any = None
        self._lost = False
        self._error: redis.RedisError | None = None
        try:
            self._connection = server.take()
            # redis-py's own way of packing them takes three times as long.
            packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # of any length
            self._connection.send_packed_command([b"".join(packed)])
        except redis.ConnectionError as error:
            self._lost = self._connection is not None
            self._error = None if self._lost else error
        except BaseException as error:
            if self._connection is not None:
                server.discard(self._connection)
            if not isinstance(error, redis.RedisError):
                raise
            self._error = error

    def replies(self) -> list[Any]:
        """The replies, of which some, or all, may be errors. Sends the commands again where the connection was lost;
        loads the scripts and sends those that call one again, if the server does not know it (redis-py would ask
        each time whether it does)."""
        try:
            if self._error is not None:
                raise self._error
            replies = self._read()
            if replies is None:
                replies = pipeline(self._server, self._commands)
            unknown = [i for i, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
            if unknown:  # the server is new, or was restarted
                pipeline(self._server, [("SCRIPT", "LOAD", script.text) for script in self._scripts])
                again = pipeline(self._server, [self._commands[i] for i in unknown])
                for i, reply in zip(unknown, again, strict=True):
                    replies[i] = reply
        except redis.RedisError as error:
            if isinstance(error, redis.TimeoutError):
                # The idle connections may be as dead as this one was: let no other call find that out.
                self._server.drop_idle()
            return [error] * len(self._commands)
        return replies

    def _read(self) -> list[Any] | None:
        """The replies; None if the connection was lost."""
        replies: list[Any] = []
        try:
            while not self._lost and len(replies) < len(self._commands):
                try:
                    replies.append(self._connection.read_response())
                except redis.ResponseError as error:
                    replies.append(error)
        except redis.ConnectionError:
            self._lost = True
        finally:
            if len(replies) == len(self._commands):
                self._server.give_back(self._connection)
            else:
                self._server.discard(self._connection)
        return None if self._lost else replies


def pipeline(server: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    """Sends commands in one go, as redis-py does. Some replies may be errors. Raises redis.RedisError."""
    with server.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py types few
        return pipe.execute(raise_on_error=False)


def is_transient(error: BaseException) -> bool:
    """Whether a Redis error passes by itself (unreachable, loading, full, busy, read-only)."""
    if isinstance(error, _TRANSIENT):
        return True
    return isinstance(error, redis.ResponseError) and bool(_TRANSIENT_REPLY(str(error)))


def translated(error: redis.RedisError) -> Exception:
    """StateUnavailable for an error that passes by itself; any other as it is."""
    return StateUnavailable() if is_transient(error) else error
