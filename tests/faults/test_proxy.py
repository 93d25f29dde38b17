"""The proxy does what it says, and nothing else: checked with redis-py on a real server."""

import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from reservation.embedded import EmbeddedRedis, socket_path
from tests.conftest import wait_for
from tests.faults.proxy import Proxy

#: How long a client of these tests waits for a reply, seconds.
_TIMEOUT_S = 0.3


@pytest.fixture(scope="module")
def redis_server() -> Iterator[EmbeddedRedis]:
    """A server of these tests' own: they count its connections."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
        yield server


@pytest.fixture
def proxy(redis_server: EmbeddedRedis) -> Iterator[Proxy]:
    """A proxy to an empty server."""
    with redis.Redis.from_url(redis_server.url()) as client:
        client.flushall()
    with Proxy(socket_path(redis_server.data_dir)) as proxy:
        yield proxy


@pytest.fixture
def direct(redis_server: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A client that knows of no proxy."""
    with redis.Redis.from_url(redis_server.url()) as client:
        yield client


@contextmanager
def client_of(proxy: Proxy, *, timeout_s: float = _TIMEOUT_S, retries: int = 0) -> Iterator[redis.Redis]:
    """A connected client."""
    retry = Retry(NoBackoff(), retries)
    with redis.Redis.from_url(proxy.url(), socket_timeout=timeout_s, retry=retry) as client:
        client.ping()
        yield client


@contextmanager
def healing_once(proxy: Proxy, hit: Callable[[], bool]) -> Iterator[None]:
    """Heals the proxy as soon as its fault has hit, while the caller waits for its reply."""

    def heal() -> None:
        wait_for(hit)
        proxy.heal()

    healer = threading.Thread(target=heal)
    healer.start()
    yield
    healer.join()


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_it_changes_nothing_while_all_is_well(proxy: Proxy, direct: redis.Redis) -> None:
    """Every command of a long pipeline and every byte of a large value arrives, in order."""
    value = secrets.token_bytes(8_000_000)
    with client_of(proxy, timeout_s=10) as client:
        pipe = client.pipeline(transaction=False)
        for number in range(10_000):
            pipe.rpush("list", number)
        assert pipe.execute() == list(range(1, 10_001))
        assert [int(text) for text in client.lrange("list", 0, -1)] == list(range(10_000))
        client.set("value", value)
        assert direct.get("value") == value
        assert client.get("value") == value
    assert proxy.counters.connections == 1
    assert proxy.counters.bytes_to_target > len(value)
    assert proxy.counters.bytes_to_clients > len(value)
    assert proxy.counters.bytes_swallowed == proxy.counters.bytes_delayed == 0


def test_it_carries_many_connections_at_once(proxy: Proxy, direct: redis.Redis) -> None:
    """Each of many connections gets its own replies, and ends at the target when its client ends it."""
    clients = [redis.Redis.from_url(proxy.url(), single_connection_client=True) for _ in range(200)]
    for number, client in enumerate(clients):
        client.set(f"key-{number}", number)
    assert [int(client.get(f"key-{number}") or -1) for number, client in enumerate(clients)] == list(range(200))
    assert proxy.counters.connections == 200
    assert len(direct.client_list()) == 201
    for client in clients:
        client.close()
    wait_for(lambda: len(direct.client_list()) == 1)


def test_a_database_is_the_one_in_the_url(proxy: Proxy, redis_server: EmbeddedRedis) -> None:
    """The URL leads to the database that it names."""
    with redis.Redis.from_url(proxy.url(3)) as client, redis.Redis.from_url(redis_server.url(3)) as direct:
        client.set("key", 1)
        assert direct.get("key") == b"1"


def test_a_target_over_tcp(redis_server: EmbeddedRedis, proxy: Proxy) -> None:
    """The target may be a host and port as well; here it is the first proxy."""
    with Proxy(f"127.0.0.1:{proxy.port}") as second, client_of(second) as client:
        assert client.incr("key") == 1


def test_a_target_that_is_down_and_comes_back() -> None:
    """While there is no target a client gets an error at once, and later the same proxy serves it."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        server = EmbeddedRedis(Path(folder))
        with Proxy(socket_path(server.data_dir)) as proxy:
            for _ in range(2):
                with pytest.raises(redis.ConnectionError), client_of(proxy):
                    pass
                with server, client_of(proxy) as client:
                    client.ping()
                    server.stop()
                    with pytest.raises(redis.ConnectionError):
                        client.ping()


def test_a_delay_is_felt_in_each_direction(proxy: Proxy) -> None:
    """A round trip takes twice the delay, on a connection that was there and on a new one, until healed."""

    def fastest_ping_s(client: redis.Redis) -> float:
        took = []
        for _ in range(3):
            began = time.monotonic()
            client.ping()
            took.append(time.monotonic() - began)
        return min(took)

    with client_of(proxy, timeout_s=5) as client:
        proxy.delay(100)
        assert 0.2 <= fastest_ping_s(client) < 0.35
        with client_of(proxy, timeout_s=5) as other:
            assert 0.2 <= fastest_ping_s(other) < 0.35
        assert proxy.counters.bytes_delayed > 0
        proxy.heal()
        assert fastest_ping_s(client) < 0.1


def test_a_delay_does_not_add_up(proxy: Proxy) -> None:
    """Much data is as late as little: it keeps flowing."""
    value = secrets.token_bytes(8_000_000)
    with client_of(proxy, timeout_s=10) as client:
        proxy.delay(200)
        began = time.monotonic()
        client.set("value", value)
        assert 0.4 <= time.monotonic() - began < 3


def test_nothing_overtakes() -> None:
    """What is sent after the delay has got shorter does not arrive before what was sent earlier."""
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        Proxy(address(target)) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as client,
    ):
        proxy.delay(100)
        client.sendall(b"first")
        wait_for(lambda: proxy.counters.bytes_delayed == len(b"first"))
        proxy.delay(0)
        client.sendall(b"second")
        server, _ = target.accept()
        with server, server.makefile("rb") as received:
            assert received.read(len(b"firstsecond")) == b"firstsecond"


def test_a_cut_resets_the_present_connections(proxy: Proxy, direct: redis.Redis) -> None:
    """Who is waiting for a reply is told at once, the target too, and the next connection is fine."""
    with client_of(proxy, timeout_s=30) as waiting, client_of(proxy), ThreadPoolExecutor() as pool:
        reply = pool.submit(waiting.blpop, ["list"])
        wait_for(lambda: direct.info("clients")["blocked_clients"] == 1)
        proxy.cut()
        with pytest.raises(redis.ConnectionError):
            reply.result()
        assert proxy.counters.connections_cut == 2
        wait_for(lambda: len(direct.client_list()) == 1)
        assert waiting.ping()


def test_a_cut_is_a_reset() -> None:
    """A connection that was cut ends with an error, not as if the server had closed it."""
    with socket.create_server(("127.0.0.1", 0)) as target, Proxy(address(target)) as proxy:
        client = socket.create_connection(("127.0.0.1", proxy.port))
        server, _ = target.accept()
        with client, server:
            client.sendall(b"x")
            assert server.recv(1) == b"x"
            proxy.cut()
            for end in (client, server):
                with pytest.raises(ConnectionResetError):
                    end.recv(1)


def test_refusing(proxy: Proxy) -> None:
    """Present connections are cut and new ones end at once, until healed."""
    with client_of(proxy) as client:
        proxy.refuse()
        for _ in range(3):
            with pytest.raises(redis.ConnectionError):
                client.ping()
        assert proxy.counters.connections_cut == 1
        assert proxy.counters.connections_refused == 3
        proxy.heal()
        assert client.ping()


def test_a_dropped_reply_is_of_a_command_that_was_carried_out(proxy: Proxy, direct: redis.Redis) -> None:
    """The server has counted once and the client has an error; the next reply is delivered."""
    with client_of(proxy) as client:
        proxy.drop_reply()
        with pytest.raises(redis.ConnectionError):
            client.incr("key")
        assert direct.get("key") == b"1"
        assert client.incr("key") == 2
    assert proxy.counters.replies_dropped == 1


def test_a_client_that_retries_does_it_twice(proxy: Proxy, direct: redis.Redis) -> None:
    """To cut after the loss makes redis-py send the command again at once."""
    with client_of(proxy, retries=1) as client:
        proxy.drop_reply()
        assert client.incr("key") == 2
    assert proxy.counters.replies_dropped == 1


def test_a_reply_dropped_in_silence(proxy: Proxy, direct: redis.Redis) -> None:
    """The client of a reply that was lost silently waits until its own timeout, others are served; heal
    closes the connection for who would wait for longer."""
    with client_of(proxy) as client, client_of(proxy) as other, client_of(proxy, timeout_s=30) as patient:
        proxy.drop_reply(silently=True)
        with pytest.raises(redis.TimeoutError):
            client.incr("key")
        assert direct.get("key") == b"1"
        assert other.incr("key") == 2
        proxy.drop_reply(silently=True)
        with healing_once(proxy, lambda: proxy.counters.replies_dropped == 2), pytest.raises(redis.ConnectionError):
            patient.incr("key")
        assert patient.incr("key") == 4


def test_replies_of_several_connections_are_dropped(proxy: Proxy, direct: redis.Redis) -> None:
    """As many replies are lost as was asked for, whoever they are for; a heal takes back the rest."""
    with client_of(proxy) as client, client_of(proxy) as other:
        proxy.drop_reply(3)
        for sender in (client, other):
            with pytest.raises(redis.ConnectionError):
                sender.incr("key")
        assert direct.get("key") == b"2"
        proxy.heal()
        assert client.incr("key") == 3
    assert proxy.counters.replies_dropped == 2


def test_a_black_hole_swallows_everything(proxy: Proxy, direct: redis.Redis) -> None:
    """Present and new connections stay open and get no reply, and the target gets no command; after
    healing they are closed, and what they sent is lost."""
    with client_of(proxy) as client, client_of(proxy, timeout_s=30) as patient:
        proxy.black_hole()
        before = proxy.counters.bytes_swallowed
        with pytest.raises(redis.TimeoutError):
            client.incr("key")
        with pytest.raises(redis.TimeoutError), client_of(proxy):
            pass
        assert proxy.counters.bytes_swallowed > before
        late = proxy.counters.bytes_swallowed
        with (
            healing_once(proxy, lambda: proxy.counters.bytes_swallowed > late),
            pytest.raises(redis.ConnectionError),
        ):
            patient.incr("key")
        assert direct.get("key") is None
        assert client.incr("key") == 1


def test_a_black_hole_hides_the_end_of_the_target() -> None:
    """Nor is a client told that the target has hung up."""
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        Proxy(address(target)) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=_TIMEOUT_S) as client,
    ):
        server, _ = target.accept()
        proxy.black_hole()
        server.sendall(b"reply")
        server.close()
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert proxy.counters.bytes_swallowed == len(b"reply")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system does not list a process's files")
def test_nothing_is_left_over(redis_server: EmbeddedRedis) -> None:
    """A proxy that was stopped, under whatever faults, leaves no thread and no socket behind."""
    threads, files = threading.active_count(), len(os.listdir("/dev/fd"))
    for fault in (Proxy.black_hole, Proxy.refuse, lambda p: p.delay(60_000), lambda p: p.drop_reply(silently=True)):
        proxy = Proxy(socket_path(redis_server.data_dir))
        with proxy, client_of(proxy) as client:
            fault(proxy)
            with pytest.raises(redis.RedisError):
                client.ping()
            proxy.stop()
    assert threading.active_count() <= threads
    assert len(os.listdir("/dev/fd")) <= files
