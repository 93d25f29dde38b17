"""Metrics of real processes: whoever answers, they are those of all; and nothing is left of them in the end."""

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from actors.queue import Queue
from reservation import tallies
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import wait_for
from tests.e2e.conftest import Process, Service, free_port, gone
from tests.integration.test_metrics import figures

_HELD = "reservation_jobs_total outcome=held type=HOLD_SEAT"
_ACCEPTED = "reservation_http_request_seconds_count method=POST route=/seats/hold status=202"


def _folders(process: Process) -> list[Path]:
    """That of this process, if it has one now: there may be others', of who else runs the service on this machine."""
    parents = (Path("/dev/shm"), Path(tempfile.gettempdir()))  # noqa: S108 - where they are made
    return [found for parent in parents for found in parent.glob(f"{tallies._PREFIX}{process.process.pid}-*")]


def _scrape(url: str) -> dict[str, float]:
    with httpx.Client() as client:  # anew each time, so that another process may answer
        return figures(client.get(f"{url}/metrics").raise_for_status().text)


def _of_all(url: str) -> tuple[int, int]:
    """Seats that were held, and holds that have expired, as /ops/figures has them."""
    with httpx.Client() as client:
        found = client.get(f"{url}/ops/figures").raise_for_status().json()
    return next(jobs["count"] for jobs in found["jobs"] if jobs["outcome"] == "held"), found["expired"]


def test_whichever_process_answers_shows_all(make_service: Callable[..., Service]) -> None:
    """Two processes behind one port, two workers and a sweeper; also after one of each was killed and replaced."""
    service = make_service(API_PROCESSES="2", WORKER_PROCESSES="2", LOCK_EXPIRATION_TIME="1", METRICS_PORT="1")
    url = str(service.http.base_url)
    event = service.create(100)

    def hold(first: int, last: int) -> None:
        for number in range(first, last):
            with httpx.Client(base_url=url) as client:  # another connection, another process
                queued = client.post("/seats/hold", json={"id": f"{event}-{number}", "UUID": str(uuid4())})
            assert service.result(queued)["result"]["success"]

    hold(1, 31)
    (mine,) = _folders(service.process)
    answered = [path for path in mine.glob("histogram_*.db") if b"/seats/hold" in path.read_bytes()]
    assert len(answered) == 2
    for _ in range(10):
        shown = _scrape(url)
        assert (shown[_HELD], shown[_ACCEPTED]) == (30, 30)
    assert shown["reservation_workers"] == 2
    assert shown["reservation_http_connections_limit"] == 2 * 2000
    assert shown["reservation_breaker_open server=state"] == 0
    wait_for(lambda: _scrape(url).get("reservation_holds_expired_total") == 30)
    wait_for(lambda: _of_all(url) == (30, 30))
    family = service.process.family()
    for part in (" api", " worker"):
        os.kill(next(pid for pid, line in family.items() if part in line), signal.SIGKILL)
    wait_for(lambda: service.process.output.count("restarted") == 2)
    wait_for(lambda: _scrape(url)["reservation_http_connections_limit"] == 2 * 2000)
    hold(31, 41)
    for _ in range(10):
        shown = _scrape(url)
        assert (shown[_HELD], shown[_ACCEPTED]) == (40, 40)
    wait_for(lambda: _of_all(url)[0] == 40)
    service.close()
    assert not mine.exists()


def test_who_was_replaced_is_not_shown_for_ever(make_service: Callable[..., Service]) -> None:
    """After SIGHUP: what they counted stays in the sums, what they were goes, a breaker that was open among it."""
    service = make_service(API_PROCESSES="2", WORKER_PROCESSES="1")
    url = str(service.http.base_url)
    event = service.create(10)
    assert service.result(service.post("hold", f"{event}-1", str(uuid4())))["result"]["success"]
    wait_for(lambda: _scrape(url)["reservation_http_connections_limit"] == 2 * 2000)
    (mine,) = _folders(service.process)
    former = [path for path in mine.glob("*.db") if not path.stem.endswith(f"_{service.process.process.pid}")]
    service.process.process.send_signal(signal.SIGHUP)
    service.process.wait_for_line("all renewed", timeout_s=60)
    assert former
    assert not [path for path in former if path.exists()]
    wait_for(lambda: _scrape(url)["reservation_http_connections_limit"] == 2 * 2000)
    shown = _scrape(url)
    assert (shown[_HELD], shown[_ACCEPTED]) == (1, 1)


def test_a_method_of_ones_own_is_no_label(service: Service) -> None:
    """Nor anything else that the server itself refuses."""
    for line in (b"BREW /pot-mark HTTP/1.1", b"G\x00T /mark HTTP/1.1", b"GET /mark HTTP/9.9", b"mark"):
        with socket.create_connection(("127.0.0.1", service.port), timeout=5) as client:
            client.sendall(line + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
            while client.recv(65_536):
                pass
    shown = _scrape(str(service.http.base_url))
    assert any("method=other route=unmatched" in name for name in shown)
    assert not [name for name in shown if "BREW" in name or "mark" in name]


@pytest.fixture
def start(redis_server: object, settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts parts of the service on the test's server."""
    parts: list[Process] = []

    def start(*arguments: str, **environment: str) -> Process:
        part = Process(*arguments, cwd=tmp_path, REDIS_URL=settings.state_url, LOG_FORMAT="json", **environment)
        parts.append(part)
        return part

    yield start
    for part in parts:
        part.stop()


def test_a_host_of_workers_shows_all_of_its_own(
    start: Callable[..., Process], store: Store, queue: Queue, event: Event
) -> None:
    """At one port; what those that died have done is not forgotten."""
    port = str(free_port())
    workers = start("worker", "--processes", "2", METRICS_PORT=port)
    wait_for(lambda: workers.output.count("worker started") == 2)

    def carried_out(first: int) -> float:
        for number in range(first, first + 5):
            job = JobId.new(event.id)
            store.seats.accept_hold(SeatId(event.id, number), str(uuid4()), job)
            assert queue.send_jobs([(job, store.jobs.task(job))])
        wait_for(lambda: not store.events.load(event.id).open_jobs)
        return _scrape(f"http://127.0.0.1:{port}")[_HELD]

    assert carried_out(1) == 5
    os.kill(next(iter(workers.family())), signal.SIGKILL)
    wait_for(lambda: workers.output.count("worker started") == 3)
    assert carried_out(6) == 10
    family = list(workers.family())
    assert _folders(workers)
    assert workers.stop() == 0
    assert gone(family)
    assert not _folders(workers)


@pytest.mark.parametrize("part", ["worker", "sweeper"])
def test_one_process_shows_its_own(start: Callable[..., Process], part: str) -> None:
    """And still ends when it is told to, with the port open."""
    port = str(free_port())
    process = start(part, METRICS_PORT=port)
    process.wait_for_line(f"{part} started")
    shown = _scrape(f"http://127.0.0.1:{port}")
    assert shown[_HELD] == 0
    assert any("round_trip" in name for name in shown)
    assert _folders(process)
    assert process.stop() == 0
    assert not _folders(process)


def test_a_port_in_use_stops_the_start(start: Callable[..., Process]) -> None:
    """And names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("worker", METRICS_PORT=str(port))
        process.wait_for_line(f"METRICS_PORT: cannot listen on 127.0.0.1:{port}")
        assert process.process.wait(10) == 1


def test_without_a_port_nothing_is_served(start: Callable[..., Process]) -> None:
    """The default: who starts two workers on a host has to say where each listens."""
    for _ in range(2):
        process = start("worker")
        process.wait_for_line("worker started")
