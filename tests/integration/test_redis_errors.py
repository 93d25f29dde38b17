"""What Redis can answer other than what was asked: each is told as 503, passes by itself, and sells nothing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import pytest
import redis

from reservation.embedded import EmbeddedRedis, url
from reservation.errors import StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, wait_for

Fault = Callable[[redis.Redis], AbstractContextManager[None]]


@pytest.fixture
def admin(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url(), decode_responses=True) as client:
        yield client


@pytest.fixture
def own(server: EmbeddedRedis, make_settings: Callable[..., Settings]) -> Iterator[Store]:
    store = Store.connect(make_settings(redis_url=server.url()), connections=4)
    yield store
    store.servers.close()


@contextmanager
def read_only(admin: redis.Redis) -> Iterator[None]:
    """READONLY: it was made a replica."""
    admin.replicaof("127.0.0.1", "1")
    yield
    admin.replicaof("NO", "ONE")


@contextmanager
def without_primary(admin: redis.Redis) -> Iterator[None]:
    """MASTERDOWN: a replica that has lost its primary."""
    admin.config_set("replica-serve-stale-data", "no")
    admin.replicaof("127.0.0.1", "1")
    yield
    admin.replicaof("NO", "ONE")


@contextmanager
def full(admin: redis.Redis) -> Iterator[None]:
    """OOM."""
    admin.config_set("maxmemory", "1")
    yield
    admin.config_set("maxmemory", "0")


@contextmanager
def too_few_replicas(admin: redis.Redis) -> Iterator[None]:
    """NOREPLICAS."""
    admin.config_set("min-replicas-to-write", "1")
    yield
    admin.config_set("min-replicas-to-write", "0")


@contextmanager
def busy(admin: redis.Redis) -> Iterator[None]:
    """BUSY: somebody's script does not end."""
    admin.config_set("lua-time-limit", "1")
    running = threading.Thread(target=_run_for_ever, args=[admin])
    running.start()
    wait_for(lambda: _is_busy(admin))
    yield
    admin.script_kill()
    running.join()


def _run_for_ever(admin: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="killed"):
        admin.eval("while true do end", 0)


def _is_busy(admin: redis.Redis) -> bool:
    try:
        admin.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


@pytest.mark.parametrize("fault", [read_only, without_primary, full, too_few_replicas, busy])
def test_a_refusal_of_the_servers_passes(own: Store, admin: redis.Redis, fault: Fault) -> None:
    """No call changes anything meanwhile, each says that it may be repeated, and then all is as before."""
    event, user = own.events.create("Opening night", 20), str(uuid4())
    held, free, open_job = SeatId(event.id, 1), SeatId(event.id, 2), JobId.new(event.id)
    Buyer(own, user).hold(held)
    own.seats.accept_hold(free, user, open_job)
    before = own.client.dump(f"event:{{{event.id}}}:changes")
    calls: list[Callable[[], object]] = [
        lambda: own.seats.accept_hold(SeatId(event.id, 3), user, JobId.new(event.id)),
        lambda: own.seats.accept_reserve(held, user, JobId.new(event.id)),
        lambda: own.seats.hold(free, user, open_job),
        lambda: own.seats.refresh(held, user),
        lambda: own.events.create("Second night", 20),
    ]
    with fault(admin):
        for call in calls:
            with pytest.raises(StateUnavailable):
                call()
    assert own.client.dump(f"event:{{{event.id}}}:changes") == before
    assert own.seats.hold(free, user, open_job).code.slug == "held"
    own.seats.refresh(held, user)
    assert Buyer(own, user).reserve(held).code.slug == "reserved"


def test_a_full_server_can_still_be_read_and_given_back_to(own: Store, admin: redis.Redis) -> None:
    """What frees memory, or needs none, goes on."""
    event, user = own.events.create("Opening night", 20), str(uuid4())
    with full(admin):
        assert own.seats.get(SeatId(event.id, 1)).status == "Available"
        assert own.events.list_free(event.id).total == 20
    assert Buyer(own, user).hold(SeatId(event.id, 1)).code.slug == "held"


def test_scripts_that_the_server_has_forgotten_are_sent_again(own: Store, admin: redis.Redis) -> None:
    """NOSCRIPT, as after a restart or a failover."""
    event, user = own.events.create("Opening night", 20), str(uuid4())
    admin.script_flush()
    assert Buyer(own, user).hold(SeatId(event.id, 1)).code.slug == "held"


def test_a_restart_is_nothing_but_a_pause(own: Store, server: EmbeddedRedis) -> None:
    """Its connections, its scripts: all gone, and nobody is told."""
    event, user = own.events.create("Opening night", 20), str(uuid4())
    Buyer(own, user).hold(SeatId(event.id, 1))
    server.stop()
    with pytest.raises(StateUnavailable):
        own.seats.get(SeatId(event.id, 1))
    server.start()
    assert Buyer(own, user).reserve(SeatId(event.id, 1)).code.slug == "reserved"


@contextmanager
def loading(own: Store, server: EmbeddedRedis) -> Iterator[threading.Thread]:
    """It was restarted, and takes some seconds to read its file. Yields what ends when it has."""
    for _ in range(3):
        own.events.create("Opening night", 10_000)
    server.stop()
    slow = EmbeddedRedis(server.data_dir, ["--key-load-delay", "60"])
    starting = threading.Thread(target=slow.start, args=[30])
    starting.start()
    yield starting
    starting.join()
    slow.stop()


def test_a_server_that_is_loading_is_waited_for(own: Store, server: EmbeddedRedis) -> None:
    """LOADING: it answers, but not what was asked."""
    event = own.events.create("Opening night", 10)
    with loading(own, server) as starting, redis.Redis.from_url(url(server.data_dir), retry=None) as observer:
        wait_for(lambda: _is_loading(observer))
        with pytest.raises(StateUnavailable) as refused:
            own.seats.get(SeatId(event.id, 1))
        assert "loading" in str(refused.value.__cause__).lower()
        starting.join()
        assert own.seats.get(SeatId(event.id, 1)).status == "Available"


def test_while_a_server_is_loading_the_breaker_is_open(own: Store, server: EmbeddedRedis) -> None:
    """TIME alone would be answered."""
    with loading(own, server) as starting, redis.Redis.from_url(url(server.data_dir), retry=None) as observer:
        own.guard.start()
        wait_for(lambda: not own.guard.closed)
        looks = 0
        while starting.is_alive():
            closed = own.guard.closed
            is_loading = _is_loading(observer)
            assert not (closed and is_loading), "the breaker was closed, and then the server was still loading"
            looks += is_loading
        assert looks > 10
        wait_for(lambda: own.guard.closed)
        own.guard.stop()


def _is_loading(observer: redis.Redis) -> bool:
    # Answered too, on a connection that is kept: to make one takes long while the server is loading.
    try:
        return bool(observer.info("persistence")["loading"])
    except redis.ConnectionError:  # not there yet
        return False
