"""Doing to a Redis server what happens to servers."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from reservation.embedded import EmbeddedRedis


def pid_of(server: EmbeddedRedis) -> int:
    """The process id of a server that answers."""
    with redis.Redis.from_url(server.url()) as client:
        return int(client.info("server")["process_id"])


def kill(server: EmbeddedRedis) -> None:
    """SIGKILL: it can write nothing any more."""
    os.kill(pid_of(server), signal.SIGKILL)
    server.stop()  # what is left of it: the keeper


@contextmanager
def hanging(server: EmbeddedRedis) -> Iterator[None]:
    """It accepts connections meanwhile, and answers nobody."""
    pid = pid_of(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
