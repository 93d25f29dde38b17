"""Commands on their way to a real server, and what becomes of them when something is wrong with it."""

import time
from collections.abc import Iterator

import pytest
import redis

from reservation.connections import connect
from reservation.embedded import EmbeddedRedis
from reservation.servers import Servers


@pytest.fixture
def admin(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url()) as client:
        yield client


@pytest.fixture
def servers(server: EmbeddedRedis) -> Iterator[Servers]:
    """With one connection: one that is not given back is missed at once."""
    servers = connect(server.url(), connections=1, timeout_s=0.3)
    yield servers
    servers.close()


def test_replies_come_in_the_order_of_their_commands(servers: Servers) -> None:
    """An error is one of them, and the connection is given back."""
    for _ in range(3):
        sent = servers.begin([("SET", "k", 1), ("LPUSH", "k", 1), ("GET", "k")])
        first, second, third = sent.replies()
        assert (first, third) == ("OK", "1")
        assert isinstance(second, redis.ResponseError)


@pytest.mark.parametrize("when", ["before they are sent", "before they are read"])
def test_a_lost_connection_is_made_good(servers: Servers, admin: redis.Redis, when: str) -> None:
    """The commands are sent again, as redis-py does it."""
    assert servers.probe(("PING",))
    if when == "before they are sent":
        admin.client_kill_filter(_type="normal", skipme=True)
    sent = servers.begin([("SET", "k", 1), ("GET", "k")])
    if when == "before they are read":
        admin.client_kill_filter(_type="normal", skipme=True)
    assert sent.replies()[1] == "1"
    assert servers.send([("GET", "k")]) == ["1"]


def test_a_reply_that_does_not_come_is_not_waited_for_twice(servers: Servers, admin: redis.Redis) -> None:
    """Nor taken for another's later: the connection is closed."""
    assert servers.probe(("PING",))
    admin.client_pause(500)
    sent = servers.begin([("ECHO", "late")])
    began = time.monotonic()
    (reply,) = sent.replies()
    assert isinstance(reply, redis.TimeoutError)
    assert time.monotonic() - began < 2 * 0.3
    time.sleep(0.3)
    assert servers.begin([("ECHO", "in time")]).replies() == ["in time"]


def test_a_script_that_the_server_has_lost_is_loaded(servers: Servers, admin: redis.Redis) -> None:
    """What was sent beside it runs once."""
    script = servers.register_script("return ARGV[1]")
    calls = [("EVALSHA", script.sha, 0, "a"), ("INCR", "n"), ("EVALSHA", script.sha, 0, "b")]
    admin.script_flush()
    assert servers.begin(calls).replies() == ["a", 1, "b"]
