"""Redis clients: one for state, one for the queue. Every wait is bounded, but for the lookup of a host's name."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from queue import Empty
from typing import Any, cast

import hiredis
import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import Script
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
)
#: Replies that redis-py has no class for. Redis 6.2 wraps what a script ran into in a text of its own.
_TRANSIENT_REPLY = re.compile(r"(^|-)(BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY)\b").search


def connect(
    url: str, *, connections: int, decode: bool = True, timeout_s: float = SOCKET_TIMEOUT_S, block_s: float = 0
) -> redis.Redis:
    """A client whose every call ends in bounded time. Connects when first used.

    Arguments:
        url: `redis://`, `rediss://` or `unix://`, with the logical database.
        connections: most connections at once; a caller beyond that waits up to a second.
        decode: whether replies are `str` rather than `bytes` (Dramatiq wants bytes).
        timeout_s: longest wait for a reply.
        block_s: how long its blocking commands may block, in seconds, on top of the usual wait.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=CONNECT_TIMEOUT_S,
        decode_responses=decode,
        socket_timeout=timeout_s + block_s,
        socket_connect_timeout=min(CONNECT_TIMEOUT_S, timeout_s),
        health_check_interval=15,
        # A reply that is lost makes this run a script twice: each is safe to run twice. What timed out
        # is not sent again: who waits for it has waited long enough.
        retry=Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.2), 3, supported_errors=(redis.ConnectionError,)),
    )
    return redis.Redis(connection_pool=pool)


#: A command and its arguments. A tuple: hiredis takes nothing else.
Command = tuple[str | bytes | int | float, ...]


def script_call(script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Command:
    """The command that calls a script by its hash."""
    return ("EVALSHA", script.sha, len(keys), *keys, *args)


class Sent:
    """Commands that were sent in one go, and whose replies are waited for when there is nothing else to do.

    This is redis-py's pipeline in two halves, without what it does for commands that none of ours is; what to do
    about a lost connection is left to redis-py's own. Raises redis.RedisError if the commands cannot be sent.

    Arguments:
        client: of ours.
        commands: at least one.
        scripts: those that the commands may call.
    """

    def __init__(self, client: redis.Redis, commands: Sequence[Command], scripts: Iterable[Script]) -> None:
        self._client, self._commands, self._scripts = client, commands, scripts
        self._connection: Any = client.connection_pool.get_connection()
        self._lost = False
        try:
            # redis-py's own way of packing them takes three times as long.
            packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # of any length
            self._connection.send_packed_command([b"".join(packed)])  # type: ignore[no-untyped-call]
        except redis.ConnectionError:
            self._lost = True
        except BaseException:
            self._let_go(whole=False)
            raise

    def replies(self) -> list[Any]:
        """The replies, of which some may be errors. Sends the commands again where the connection was lost; loads
        the scripts and sends those that call one again, if the server does not know it (redis-py would ask each
        time whether it does). Raises redis.RedisError if there is no reply."""
        replies = self._read()
        if replies is None:
            replies = _pipeline(self._client, self._commands)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
        if unknown:  # the server is new, or was restarted
            _pipeline(self._client, [("SCRIPT", "LOAD", cast(str, script.script)) for script in self._scripts])
            for i, reply in zip(unknown, _pipeline(self._client, [self._commands[i] for i in unknown]), strict=True):
                replies[i] = reply
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
            self._let_go(whole=len(replies) == len(self._commands))
        return None if self._lost else replies

    def _let_go(self, *, whole: bool) -> None:
        if not whole:  # what is still to come would be taken for another's
            self._connection.disconnect()
        self._client.connection_pool.release(self._connection)


def send(client: redis.Redis, commands: Sequence[Command], scripts: Iterable[Script]) -> list[Any]:
    """Sends commands in one go and returns their replies, of which some may be errors. Raises redis.RedisError if
    there is no reply."""
    return Sent(client, commands, scripts).replies()


def _pipeline(client: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    with client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]
        return pipe.execute(raise_on_error=False)


def drop_idle(client: redis.Redis) -> None:
    """Closes the connections of a client of ours that nobody is using. The pool's own `disconnect` may
    close one that another thread has just taken, so they are taken first."""
    idle: list[Any] = []
    queue = cast(redis.BlockingConnectionPool, client.connection_pool).pool
    with suppress(Empty):
        while True:
            idle.append(queue.get_nowait())
    for connection in idle:
        if connection is not None:  # a place that was never used
            connection.disconnect()
        queue.put_nowait(connection)


def is_transient(error: BaseException) -> bool:
    """Whether a Redis error passes by itself (unreachable, loading, full, busy, read-only)."""
    if isinstance(error, _TRANSIENT):
        return True
    return isinstance(error, redis.ResponseError) and bool(_TRANSIENT_REPLY(str(error)))


def translated(error: redis.RedisError) -> Exception:
    """StateUnavailable for an error that passes by itself; any other as it is."""
    return StateUnavailable() if is_transient(error) else error
