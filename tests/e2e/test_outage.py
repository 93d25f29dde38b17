"""An API whose Redis is gone or hangs: it says so at once, and recovers by itself."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest
import redis

from reservation.embedded import EmbeddedRedis
from tests.conftest import wait_for
from tests.e2e.conftest import Process, free_port
from tests.servers import hanging

Fault = Callable[[EmbeddedRedis], AbstractContextManager[None]]


class Api(NamedTuple):
    """An API process, and its two servers."""

    http: httpx.Client
    state: EmbeddedRedis
    broker: EmbeddedRedis


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="reservation-") as folder,
        EmbeddedRedis(Path(folder, "s")) as state,
        EmbeddedRedis(Path(folder, "q"), durable=False) as broker,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http,
    ):
        environment = {"PORT": str(port), "REDIS_URL": state.url(), "BROKER_URL": broker.url()}
        process = Process("api", cwd=Path(folder), **environment, MAX_QUEUED_MESSAGES="500")
        try:
            process.wait_for_line("serving")
            yield Api(http, state, broker)
        finally:
            process.stop()


@contextmanager
def gone(server: EmbeddedRedis) -> Iterator[None]:
    """Connections are refused."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@pytest.fixture(autouse=True)
def _empty_queue(api: Api) -> None:
    """Nobody carries jobs out here."""
    with redis.Redis.from_url(api.broker.url()) as client:
        client.flushall()
    wait_for(lambda: api.http.get("/health/ready").json()["broker"] == "up", 5)


class Answer(NamedTuple):
    """An answer, when its request was sent, and how long it took, seconds."""

    sent: float
    took: float
    response: httpx.Response


#: What is answered when all is well: read, accepted, refused for good reason.
_SERVED = {200, 202, 409}


def _statuses(answers: Iterable[Answer]) -> set[int]:
    return {answer.response.status_code for answer in list(answers)}


def _nobody_waited(answers: list[Answer]) -> None:
    """Who waits for a reply waits half a second. A few may have waited for a processor."""
    took = sorted(answer.took for answer in answers)
    assert took[len(took) // 2] < 0.05
    assert took[len(took) * 9 // 10] < 0.25


def _create(api: Api) -> str:
    return str(api.http.post("/events/create", json={"name": "Opening night", "totalSeats": 5_000}).json()["id"])


@contextmanager
def asking(api: Api, event: str) -> Iterator[list[Answer]]:
    """Twenty clients, more than the API has threads, who ask for everything there is."""
    answers: list[Answer] = []
    stopping = threading.Event()

    def ask(client: int) -> None:
        with httpx.Client(base_url=api.http.base_url, timeout=10) as http:
            for n in range(10_000):
                body = {"id": f"{event}-{client * 200 + n % 200 + 1}", "UUID": str(uuid4())}
                request = [
                    http.build_request("POST", "/seats/hold", json=body),
                    http.build_request("POST", "/seats/refresh", json=body),
                    http.build_request("GET", f"/seats/get/{event}-1"),
                    http.build_request("GET", f"/seats/list/{event}?limit=10"),
                    http.build_request("GET", "/health/ready"),
                ][n % 5]
                sent = time.monotonic()
                response = http.send(request)
                answers.append(Answer(sent, time.monotonic() - sent, response))
                if stopping.wait(0.1):
                    return

    threads = [threading.Thread(target=ask, args=[client]) for client in range(20)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("fault", [hanging, gone])
def test_without_its_state_every_request_is_refused_at_once(api: Api, fault: Fault) -> None:
    """From a second on: 503 with Retry-After, no request waits for a reply; and back by itself."""
    event = _create(api)
    with asking(api, event) as answers:
        wait_for(lambda: _statuses(answers) == _SERVED)
        with fault(api.state):
            began = time.monotonic()
            time.sleep(2.5)
            later = [a for a in list(answers) if a.sent > began + 1]
        assert len(later) > 100
        assert _statuses(later) == {503}
        assert all(int(a.response.headers["Retry-After"]) >= 1 for a in later)
        _nobody_waited(later)
        assert api.http.get("/health/live").status_code == 200
        wait_for(lambda: api.http.get("/health/ready").status_code == 200, 5)
        healed = time.monotonic()
        wait_for(lambda: _statuses(a for a in list(answers) if a.sent > healed) == _SERVED)
    assert all(
        "jobId" in a.response.text
        or "state-unavailable" in a.response.text
        or a.response.url.path.startswith("/health")
        for a in answers
        if a.response.status_code == 503
    )


@pytest.mark.parametrize("fault", [hanging, gone])
def test_without_its_queue_every_hold_is_accepted_at_once(api: Api, fault: Fault) -> None:
    """202 all along; from a second on nobody waits for the queue. It shows as degraded."""
    event = _create(api)
    with asking(api, event) as answers:
        with fault(api.broker):
            began = time.monotonic()
            time.sleep(2.5)
            later = [a for a in list(answers) if a.sent > began + 1]
            assert api.http.get("/health/ready").json()["broker"] == "down"
        assert {a.response.status_code for a in later if a.response.url.path == "/seats/hold"} == {202}
        assert _statuses(answers) <= _SERVED
        _nobody_waited(later)
        wait_for(lambda: api.http.get("/health/ready").json()["broker"] == "up", 5)


def test_a_queue_beyond_its_limit_refuses_holds(api: Api) -> None:
    """503 `queue-full`, not a backlog without end; who holds a seat can still reserve it, and it passes."""
    event = _create(api)

    def hold(number: int) -> httpx.Response:
        return api.http.post("/seats/hold", json={"id": f"{event}-{number}", "UUID": str(uuid4())})

    numbers = iter(range(1, 5_000))
    wait_for(lambda: hold(next(numbers)).status_code == 503, 30)
    refused = hold(next(numbers))
    assert (refused.json()["type"], refused.json()["limit"]) == ("/problems/queue-full", 500)
    assert int(refused.headers["Retry-After"]) >= 1
    reserve = api.http.post("/seats/reserve", json={"id": f"{event}-1", "UUID": str(uuid4())})
    assert reserve.status_code == 409, "was asked, and not turned away"
    with redis.Redis.from_url(api.broker.url()) as client:
        client.flushall()
    wait_for(lambda: hold(next(numbers)).status_code == 202)
