"""What was answered is on disk: neither a killed Redis nor a failing host takes a reservation back."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from reservation.codes import Code
from reservation.errors import NotFound, StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import wait_for
from tests.faults.durability import SyncedServer, servers, written_and_synced

MakeServer = Callable[..., SyncedServer]


@pytest.fixture(params=["redis-server", "valkey-server"])
def make_server(request: pytest.FixtureRequest) -> Iterator[MakeServer]:
    """Starts servers of one kind in temporary folders, and stops them."""
    if not shutil.which("strace"):
        reason = "strace is not installed: without it nobody knows what was synced"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    if request.param not in servers():
        pytest.skip(f"{request.param} is not installed")
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        server: SyncedServer | None = None

        def make(appendfsync: str | None = None) -> SyncedServer:
            nonlocal server
            server = SyncedServer(Path(folder), servers()[request.param], appendfsync)
            server.start()
            return server

        yield make
        if server:
            server.stop()


@pytest.fixture
def store_on(make_settings: Callable[..., Settings]) -> Iterator[Callable[[SyncedServer], Store]]:
    """The domain on a server. It connects again after a restart."""
    stores: list[Store] = []

    def make(server: SyncedServer) -> Store:
        stores.append(Store.connect(make_settings(redis_url=server.url()), connections=8))
        return stores[-1]

    yield make
    for store in stores:
        store.servers.close()


def sell(store: Store, seat: SeatId, user: str) -> JobId:
    """Holds and reserves a seat; returns the job of the reservation, which is completed."""
    hold, reserve = JobId.new(seat.event), JobId.new(seat.event)
    store.seats.accept_hold(seat, user, hold)
    assert store.seats.hold(seat, user, hold).code == Code.HELD
    store.seats.accept_reserve(seat, user, reserve)
    assert store.seats.reserve(seat, user, reserve).code == Code.RESERVED
    return reserve


def is_sold(store: Store, seat: SeatId, user: str, job: JobId) -> bool:
    """Whether the reservation and its job are both there; fails if only one of them is."""
    try:
        result = store.jobs.read(job).result
    except NotFound:
        result = None
    found = store.seats.get(seat)
    assert (found.status == "Reserved") == bool(result and result.success)
    return found.status == "Reserved" and found.user == user


def test_a_completed_reservation_survives_its_host(
    make_server: MakeServer, store_on: Callable[[SyncedServer], Store], user: str
) -> None:
    """With the settings that we ship, Redis is killed as soon as the verdict is read, and what was not
    synced is lost: the seat is still reserved for its user, and the job completed. Three times in a row."""
    server = make_server()
    store = store_on(server)
    event = store.events.create("Opening night", 10)
    sold: dict[SeatId, JobId] = {}
    for number in (1, 2, 3):
        seat = SeatId(event.id, number)
        sold[seat] = sell(store, seat, user)
        server.kill_and_lose_unsynced()
        server.start()
        assert all(is_sold(store, seat, user, job) for seat, job in sold.items())


def test_every_answer_of_a_sale_survives_its_host(
    make_server: MakeServer, store_on: Callable[[SyncedServer], Store]
) -> None:
    """The same in the middle of a sale to many: whoever had an answer has the seat, nobody has half of one."""
    server = make_server()
    store = store_on(server)
    event = store.events.create("Opening night", 1000)
    answered: dict[SeatId, tuple[str, JobId]] = {}

    def buy(first: int) -> None:
        for number in range(first, first + 250):
            seat, buyer = SeatId(event.id, number), str(uuid4())
            try:
                answered[seat] = (buyer, sell(store, seat, buyer))
            except StateUnavailable:
                return

    with ThreadPoolExecutor() as pool:
        sales = [pool.submit(buy, first) for first in (1, 251, 501, 751)]
        wait_for(lambda: len(answered) >= 40)
        server.kill_and_lose_unsynced()
        for sale in sales:
            sale.result()
    assert len(answered) < 1000
    server.start()
    assert all(is_sold(store, seat, *sale) for seat, sale in answered.items())


def sync_just_now(server: SyncedServer, store: Store) -> None:
    """Returns right after one of the syncs that come once a second, so that the next is far off."""
    for _ in range(2):  # the first may have been due for long, and the next come early
        synced = server.synced_bytes()
        wait_for(lambda: store.client.set("tick", 1) and server.synced_bytes() > synced)  # noqa: B023 - used at once


def test_everysec_loses_what_it_answered(
    make_server: MakeServer, store_on: Callable[[SyncedServer], Store], user: str
) -> None:
    """With a sync a second the same reservation is gone, its hold and its jobs with it, while all that is
    older is there. So the loss is real, and `always` is what prevents it."""
    server = make_server("everysec")
    store = store_on(server)
    event = store.events.create("Opening night", 10)
    first, second = SeatId(event.id, 1), SeatId(event.id, 2)
    old = sell(store, first, user)
    sync_just_now(server, store)
    new = sell(store, second, user)
    assert server.kill_and_lose_unsynced() > 0
    server.start()
    assert is_sold(store, first, user, old)
    assert not is_sold(store, second, user, new)
    assert store.seats.get(second).status == "Available"


def test_a_killed_server_loses_nothing(
    make_server: MakeServer, store_on: Callable[[SyncedServer], Store], user: str
) -> None:
    """While the host lives, even a reservation that is not synced survives a SIGKILL."""
    server = make_server("everysec")
    store = store_on(server)
    seat = SeatId(store.events.create("Opening night", 10).id, 1)
    sync_just_now(server, store)
    job = sell(store, seat, user)
    server.kill()
    server.start()
    assert is_sold(store, seat, user, job)


_WRITE = '7  write(9</d/a.incr.aof>, ""..., 10) = 10'
_WRITE_BEGINS, _WRITE_RETURNS = '7  write(9</d/a.incr.aof>, ""..., 10 <unfinished ...>', "7  <... write resumed>) = 10"
_SYNC = "8  fdatasync(9</d/a.incr.aof>) = 0"
_SYNC_BEGINS, _SYNC_RETURNS = "8  fdatasync(9</d/a.incr.aof> <unfinished ...>", "8  <... fdatasync resumed>) = 0"


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        pytest.param([], (0, 0, 0), id="nothing"),
        pytest.param([_WRITE, _SYNC, _WRITE], (20, 10, 0), id="before and after a sync"),
        pytest.param(
            [_WRITE, _SYNC.replace("= 0", "= -1 EIO (Input/output error)")], (10, 0, 0), id="sync that failed"
        ),
        pytest.param([_WRITE, _SYNC.replace("/d/", "/e/")], (10, 0, 0), id="sync of another file"),
        pytest.param([_WRITE.replace("/d/", "/e/"), _SYNC], (0, 0, 0), id="write to another file"),
        pytest.param([_WRITE.replace("= 10", "= 4"), _SYNC], (4, 4, 0), id="short write"),
        pytest.param([_WRITE, _SYNC_BEGINS, _WRITE, _SYNC_RETURNS], (20, 10, 0), id="write while a sync is under way"),
        pytest.param([_WRITE_BEGINS, _SYNC, _WRITE_RETURNS], (10, 0, 0), id="sync while a write is under way"),
        pytest.param([_WRITE, _SYNC_BEGINS, _SYNC_RETURNS.replace("0", "?")], (10, 0, 0), id="killed during a sync"),
        pytest.param([_WRITE, _SYNC, _WRITE_BEGINS], (10, 10, 10), id="killed during a write"),
    ],
)
def test_what_counts_as_synced(trace: list[str], expected: tuple[int, int, int]) -> None:
    """Safe is what had been written when a sync began that succeeded, and nothing else."""
    assert written_and_synced("\n".join(trace), Path("/d/a.incr.aof")) == expected
