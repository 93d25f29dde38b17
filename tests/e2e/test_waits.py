"""Who waits for a job, at a real server: what they get, and what they cost the others."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from reservation import keys
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.store import Store
from tests.conftest import wait_for
from tests.e2e.conftest import Process, free_port

WAIT = {"Prefer": "wait=25"}


@pytest.fixture
def start(redis_server: EmbeddedRedis, store: Store, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes on an empty server."""
    with ExitStack() as started:

        def start(name: str, line: str, **environment: str) -> Process:
            process = Process(name, cwd=tmp_path, REDIS_URL=redis_server.url(), **environment)
            started.callback(lambda: process.process.poll() is None and process.stop())
            process.wait_for_line(line)
            return process

        yield start


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def api(start: Callable[..., Process], port: int) -> Process:
    """The API, with no worker."""
    return start("api", "serving", PORT=str(port))


@pytest.fixture
def http(api: Process, port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client


@pytest.fixture
def event(http: httpx.Client) -> str:
    made = http.post("/events/create", json={"name": "Gala", "totalSeats": 20})
    return str(made.json()["id"])


def _open_jobs(store: Store, event: str) -> list[dict[str, str]]:
    """What the ledger says of them."""
    jobs = store.client.zrange(keys.jobs(event), 0, -1)
    return [store.jobs.entry(JobId.parse(str(job))) for job in jobs]


def _hold(http: httpx.Client, event: str, number: int, **headers: str) -> httpx.Response:
    return http.post("/seats/hold", json={"id": f"{event}-{number}", "UUID": str(uuid4())}, headers=headers)


class Waiting:
    """Requests for holds that wait, each on a connection of its own."""

    def __init__(self, store: Store, port: int, event: str, numbers: range, user: str | None = None) -> None:
        self.connections = []
        for number in numbers:
            body = json.dumps({"id": f"{event}-{number}", "UUID": user or str(uuid4())})
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            connection.sendall(
                f"POST /seats/hold HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nPrefer: wait=25\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            self.connections.append(connection)

        def awaited() -> int:
            jobs = [JobId.parse(str(each)) for each in store.client.zrange(keys.jobs(event), 0, -1)]
            return sum(bool(store.client.hget(keys.job(job), "awaited")) for job in jobs)

        wait_for(lambda: awaited() == len(numbers))

    def statuses(self) -> list[bytes]:
        return [connection.recv(4_096)[9:12] for connection in self.connections]

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


def test_a_hold_is_one_request(start: Callable[..., Process], http: httpx.Client, event: str) -> None:
    """Answered with its end, by a worker that is there or one that comes; and its reservation."""
    user = str(uuid4())
    seat = {"id": f"{event}-1", "UUID": user}
    start("worker", "worker started")
    held, reserved = (http.post(f"/seats/{action}", json=seat, headers=WAIT) for action in ("hold", "reserve"))
    assert [answer.status_code for answer in (held, reserved)] == [200, 200]
    assert [answer.json()["result"]["seat"]["status"] for answer in (held, reserved)] == ["On hold", "Reserved"]
    refused = _hold(http, event, 1, **WAIT)
    assert refused.status_code == 409


def test_the_best_seats_are_one_request(
    start: Callable[..., Process], store: Store, http: httpx.Client, event: str
) -> None:
    """Though they are picked by the pool, whose threads wait in the same number; the next is answered at once."""
    wish = {"eventId": event, "quantity": 2}
    with ThreadPoolExecutor(4) as asking:
        first = [
            asking.submit(http.post, "/seats/best-available", json={**wish, "UUID": str(uuid4())}, headers=WAIT)
            for _ in range(4)
        ]
        wait_for(lambda: sum("awaited" in job for job in _open_jobs(store, event)) == 4)
        fifth = http.post("/seats/best-available", json={**wish, "UUID": str(uuid4())}, headers=WAIT)
        assert (fifth.status_code, "preference-applied" in fifth.headers) == (202, False)
        start("worker", "worker started")
        answers = [each.result() for each in first]
    assert [(each.status_code, each.json()["status"]) for each in answers] == [(200, "completed")] * 4
    assert all(len(each.json()["result"]["seats"]) == 2 for each in answers)


def test_who_waits_is_answered_by_a_worker_that_comes(
    start: Callable[..., Process], store: Store, http: httpx.Client, port: int, event: str
) -> None:
    """The others are served meanwhile; of those that want to wait, the fifth is answered at once."""
    waiting = Waiting(store, port, event, range(1, 5))
    assert http.get("/health/live").status_code == 200
    fifth = _hold(http, event, 5, **WAIT)
    assert (fifth.status_code, "preference-applied" in fifth.headers) == (202, False)
    start("worker", "worker started")
    assert waiting.statuses() == [b"200"] * 4
    waiting.close()


def test_an_end_wakes_the_server(store: Store, http: httpx.Client, port: int, event: str) -> None:
    """Which comes round by itself a quarter of a second after it last had something to do."""
    late_ms = []
    for number in (1, 2, 3):
        user = str(uuid4())
        waiting = Waiting(store, port, event, range(number, number + 1), user)
        (job_id,) = store.client.zrange(keys.jobs(event), 0, -1)
        assert http.get("/health/live").status_code == 200
        store.seats.hold(SeatId(event, number), user, JobId.parse(str(job_id)))
        job = json.loads(waiting.connections[0].recv(4_096).partition(b"\r\n\r\n")[2])
        late_ms.append(job["serverTime"] - job["completedAt"])
        waiting.close()
    assert sorted(late_ms)[1] < 200


def test_who_has_gone_makes_room(store: Store, http: httpx.Client, port: int, event: str) -> None:
    """All places are taken; soon after those who had them have gone, another may wait."""
    waiting = Waiting(store, port, event, range(1, 5))

    def waits() -> bool:
        return "preference-applied" in _hold(http, event, 5, Prefer="wait=1").headers

    assert not waits()
    waiting.close()
    wait_for(waits)


def test_who_waits_is_answered_before_it_stops(
    api: Process, store: Store, http: httpx.Client, port: int, event: str
) -> None:
    """At SIGTERM, with what there is: it is not waited for what may take long."""
    waiting = Waiting(store, port, event, range(1, 4))
    api.process.terminate()
    assert waiting.statuses() == [b"202"] * 3
    waiting.close()
    assert api.join(20) == 0


def test_time_that_somebody_wished_to_wait_is_nobodys_delay(http: httpx.Client, event: str) -> None:
    """The request is counted, but not among the slow ones."""
    queued = _hold(http, event, 1).json()
    assert http.get(f"{queued['statusEndpoint']}?wait=1").json()["status"] == "waiting"
    slow = (
        'reservation_http_request_seconds_bucket{le="0.5",method="GET",route="/seats/job/{job_id}/status",status="200"}'
    )
    assert f"{slow} 1.0" in http.get("/metrics").text
