"""What the tests of seats share."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from falcon import testing
from structlog.typing import EventDict

from reservation import keys
from reservation.embedded import EmbeddedRedis
from reservation.ids import SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app
from tests.conftest import ON_CLUSTER, wait_for
from tests.web import JWT


def is_consistent(store: Store, event: Event) -> bool:
    """Whether the free and held sets say what the seats say."""
    ids = [SeatId(event.id, n) for n in range(1, event.total_seats + 1)]
    status = {str(seat): store.client.hget(keys.seat(seat), "status") for seat in ids}
    return {s for s, v in status.items() if v == "Available"} == set(
        store.client.zrange(keys.available(event.id), 0, -1)
    ) and {s for s, v in status.items() if v == "On hold"} == set(store.client.zrange(keys.holds(event.id), 0, -1))


def commands(store: Store) -> Counter[str]:
    """How often the servers have carried out each command so far, those in scripts included."""
    total: Counter[str] = Counter()
    for server in store.servers.primaries():
        stats = server.info("commandstats")
        total.update({name.removeprefix("cmdstat_"): command["calls"] for name, command in stats.items()})
    return total


def lines_of(module: str, monkeypatch: pytest.MonkeyPatch) -> list[EventDict]:
    """What a module logs from now on, a copy for the test: where the lines go otherwise depends on what was configured
    by the tests before, as a logger keeps what it found when it was first used."""
    capture = structlog.testing.LogCapture()
    monkeypatch.setattr(f"{module}.log", structlog.wrap_logger(None, processors=[capture]))
    return capture.entries


def change_as_later_version(store: Store, seat: SeatId) -> None:
    """Does to a free seat what this version has no name for: it is not to be had any more."""
    store.client.zrem(keys.available(seat.event), str(seat))
    sequence = store.client.hincrby(keys.event(seat.event), "version", 1)
    fields = ["seq", sequence, "seat", seat.number, "cause", "moved", "actor", "", "job", "", "request", ""]
    store.client.execute_command("XADD", keys.changes(seat.event), "*", *fields)  # type: ignore[no-untyped-call]  # redis-py types few


def lapse(store: Store, seat: SeatId) -> None:
    """Lets a hold's time run out, and waits until the server's clock says so."""
    wait_for(lambda: store.seats.get(seat).status == "Available")


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    """One of a test's own, that nobody else is hurt by."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as running:
        yield running


@pytest.fixture
def brief(make_settings: Callable[..., Settings], store: Store) -> Store:
    """The same server, where a hold lasts 150 ms."""
    return Store.connect(make_settings(lock_expiration_time=0.6 if ON_CLUSTER else 0.15), connections=4)


@pytest.fixture
def services(settings: Settings, store: Store) -> Services:
    """What the application needs, on an empty server."""
    return Services.connect(settings)


@pytest.fixture
def client(services: Services) -> testing.TestClient:
    """The application, where a user is whoever knows the user's UUID."""
    return testing.TestClient(create_app(services))


@pytest.fixture
def make_client(make_settings: Callable[..., Settings], store: Store) -> Callable[..., testing.TestClient]:
    """Builds the application with other settings."""

    def make(**values: object) -> testing.TestClient:
        return testing.TestClient(create_app(Services.connect(make_settings(**values))))

    return make


@pytest.fixture
def secured(make_client: Callable[..., testing.TestClient]) -> testing.TestClient:
    """The application, where tokens say who asks."""
    return make_client(**JWT)
