"""A real server for every test that needs one: started here, on a socket in a temporary folder."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from actors.queue import Queue
from actors.rounds import RoundWorker
from reservation import keys
from reservation.cluster import Cluster
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.rounds import RoundPipelining
from reservation.seats import Verdict
from reservation.servers import Servers
from reservation.settings import Settings
from reservation.store import Store
from tests.cluster import RedisCluster, cluster, moving
from tests.waiting import wait_for as wait_for

#: What needs a browser is not even read where there is none to drive: `make test-browser` installs it.
collect_ignore = [] if find_spec("playwright") else ["browser"]

#: Set to 1: what runs on one server runs on a cluster of three instead.
ON_CLUSTER = os.environ.get("RESERVATION_TEST_CLUSTER") == "1"

#: What is said of a server that stands alone; a cluster's checks have tests of their own.
one_server = pytest.mark.skipif(ON_CLUSTER, reason="about a server that stands alone")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis | RedisCluster]:
    """One server for the session, or one cluster. That it is missing is a failure, never a skip."""
    if ON_CLUSTER:
        with cluster() as nodes, moving(nodes):
            yield nodes
        return
    # Not tmp_path: its folders are too deep for the path of a socket.
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
        yield server


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes what the test connected to. Left to Python, which may come upon a socket before its owner, it would be an
    error of whatever runs then."""
    opened: list[Servers] = []
    for kind in (Servers, Cluster):

        def noted(self: Servers, *args: Any, init: Callable[..., None] = kind.__init__) -> None:
            opened.append(self)
            init(self, *args)

        monkeypatch.setattr(kind, "__init__", noted)
    yield
    for servers in opened:
        servers.close()


@pytest.fixture
def make_settings(redis_server: EmbeddedRedis | RedisCluster) -> Callable[..., Settings]:
    """Builds settings for the test's server, whatever the environment or a .env says."""

    def make(**values: object) -> Settings:
        return Settings(_env_file=None, **{"redis_url": redis_server.url(), **values})  # type: ignore[call-arg, arg-type]  # pydantic-settings takes more than mypy sees

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """The defaults, on the test's server."""
    return make_settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The domain on an empty server."""
    store = Store.connect(settings, connections=32, pipelining=RoundPipelining)
    store.client.flushall()
    yield store
    store.servers.close()


@pytest.fixture
def event(store: Store) -> Event:
    """An event of 20 seats."""
    return store.events.create("Opening night", 20)


@pytest.fixture
def user() -> str:
    return str(uuid4())


@pytest.fixture
def other() -> str:
    return str(uuid4())


class Buyer:
    """Does to seats what a client and a worker do together, without a queue between them."""

    def __init__(self, store: Store, user: str) -> None:
        self.store = store
        self.user = user

    def hold(self, seat: SeatId) -> Verdict:
        job = JobId.new(seat.event)
        self.store.seats.accept_hold(seat, self.user, job)
        return self.store.seats.hold(seat, self.user, job)

    def reserve(self, seat: SeatId) -> Verdict:
        job = JobId.new(seat.event)
        accepted = self.store.seats.accept_reserve(seat, self.user, job)
        return self.store.seats.reserve(seat, self.user, JobId.parse(accepted.job_id))


@pytest.fixture
def buyer(store: Store, user: str) -> Buyer:
    return Buyer(store, user)


@pytest.fixture
def rival(store: Store, other: str) -> Buyer:
    return Buyer(store, other)


@pytest.fixture
def queue(settings: Settings, store: Store) -> Queue:
    return Queue.connect(settings, store, connections=8)


@contextmanager
def working(store: Store, queue: Queue, threads: int = 4) -> Iterator[None]:
    """A worker on threads of this process, as `reservation worker` has it.

    Arguments:
        store: what the queue's actors work on.
        queue: whose messages are worked on.
        threads: how many carry jobs out.
    """
    assert isinstance(store.scripts.pipelining, RoundPipelining)
    worker = RoundWorker(queue.broker, threads, idle_ms=100)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


def changes(store: Store, event_id: str) -> list[dict[str, str]]:
    """The event's change stream, oldest first."""
    return [fields for _, fields in cast(Any, store.client.xrange(keys.changes(event_id)))]


def expiry_ms(store: Store, key: str) -> int:
    """When a key expires, epoch ms, give or take one: PEXPIRETIME came with Redis 7."""
    script = "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) + redis.call('PTTL', KEYS[1])"
    return cast(int, store.client.eval(script, 1, key))
