"""The connection that the last go left, which the next one takes: never one that has something left to be read, and
never the last that there is."""

from collections.abc import Iterator

import pytest
import redis

from reservation.clients import Sent, Server, script_call
from reservation.connections import connect
from reservation.embedded import EmbeddedRedis

PING = ("PING",)


@pytest.fixture
def observer(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url()) as client:
        yield client


def _pooled(server: EmbeddedRedis, connections: int = 2) -> Server:
    return Server(connect(server.url(), connections=connections)._pool)


def _others(observer: redis.Redis) -> set[str]:
    """The connections that are not the observer's own."""
    return {client["id"] for client in observer.client_list()} - {str(observer.client_id())}


def test_the_next_go_takes_the_same_connection(server: EmbeddedRedis, observer: redis.Redis) -> None:
    """And another where that was lost meanwhile: nobody notices."""
    servers = connect(server.url(), connections=2)
    assert servers.send([PING]) == ["PONG"]
    (first,) = _others(observer)
    assert servers.send([PING, PING]) == ["PONG", "PONG"]
    assert _others(observer) == {first}
    observer.client_kill_filter(_id=first)
    assert servers.send([PING]) == ["PONG"]
    assert first not in _others(observer)


def test_the_only_connection_is_not_kept(server: EmbeddedRedis) -> None:
    """What is sent again, as a script that the server does not know, takes it from the pool."""
    servers = connect(server.url(), connections=1)
    script = servers.register_script("return 'done'")
    assert servers.send([script_call(script, [], [])]) == ["done"]


def test_one_is_kept_and_the_others_go_back(server: EmbeddedRedis, observer: redis.Redis) -> None:
    """To the pool, which has one for whoever sends again, and is not asked for the one that is kept."""
    pooled = _pooled(server)
    kept, other = pooled.take(), pooled.take()
    for connection in (kept, other):
        pooled.give_back(connection)
    assert pooled.ping()
    pooled.connection_pool = redis.ConnectionPool(max_connections=0)
    assert pooled.take() is kept
    assert len(_others(observer)) == 2


def test_one_with_something_left_to_be_read_is_not_used_again(server: EmbeddedRedis) -> None:
    """Its reply would be taken for the next command's."""
    pooled = _pooled(server)
    sent = Sent(pooled, [("ECHO", "a"), ("ECHO", "b")], [])
    read = sent._connection.read_response

    def interrupted() -> object:
        sent._connection.read_response = stopped
        return read()

    def stopped() -> object:
        sent._connection.read_response = read
        raise KeyboardInterrupt

    sent._connection.read_response = interrupted
    with pytest.raises(KeyboardInterrupt):
        sent.replies()
    assert Sent(pooled, [PING], []).replies() == ["PONG"]


def test_the_one_that_is_kept_is_idle_as_well(server: EmbeddedRedis, observer: redis.Redis) -> None:
    """Where a server has not answered, it is as dead as the others."""
    pooled = _pooled(server)
    assert Sent(pooled, [PING], []).replies() == ["PONG"]
    assert len(_others(observer)) == 1
    pooled.drop_idle()
    assert not _others(observer)
    assert Sent(pooled, [PING], []).replies() == ["PONG"]
