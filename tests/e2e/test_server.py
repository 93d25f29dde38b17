"""Waitress as it is set up: slow clients, large heads, and stopping."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reservation.embedded import EmbeddedRedis
from tests.conftest import wait_for
from tests.e2e.conftest import Process, free_port


@pytest.fixture
def api(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[tuple[Process, int]]:
    """An API process of its own."""
    port = free_port()
    process = Process("api", cwd=tmp_path, PORT=str(port), REDIS_URL=redis_server.url(), REQUEST_TIMEOUT="1")
    process.wait_for_line("serving")
    yield process, port
    if process.process.poll() is None:
        process.stop()


def test_clients_that_drip_are_cut_off(api: tuple[Process, int]) -> None:
    """A request has to arrive within its time, however lively its bytes; others are served meanwhile."""
    _, port = api
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    cut: set[int] = set()

    def drip() -> None:
        for _ in range(40):
            for number, connection in enumerate(slow):
                try:
                    connection.send(b"G")
                except OSError:
                    cut.add(number)
            time.sleep(0.1)
            if len(cut) == len(slow):
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    dripping.join()
    for connection in slow:
        connection.close()
    assert len(cut) == 50


def test_a_head_that_is_too_large_is_refused(api: tuple[Process, int]) -> None:
    """431, and the service goes on."""
    _, port = api
    assert httpx.get(f"http://127.0.0.1:{port}/", headers={"X-Long": "x" * 9_000}).status_code == 431
    assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200


def test_no_server_banner(api: tuple[Process, int]) -> None:
    """What it runs on is nobody's business."""
    _, port = api
    assert "server" not in httpx.get(f"http://127.0.0.1:{port}/health/live").headers


def test_a_request_that_has_begun_is_answered_before_it_stops(api: tuple[Process, int]) -> None:
    """SIGTERM while 10,000 seats are being created: 201, then the end."""
    process, port = api
    answers: list[int] = []

    def create() -> None:
        body = {"name": "Opening night", "totalSeats": 10_000}
        answers.append(httpx.post(f"http://127.0.0.1:{port}/events/create", json=body, timeout=10).status_code)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert process.stop() == 0
    for thread in threads:
        thread.join()
    assert answers == [201] * 4
    wait_for(lambda: "stopped serving" in process.output)


def test_an_idle_api_stops_at_once(api: tuple[Process, int]) -> None:
    """Connections that are merely open owe no answer."""
    process, port = api
    with socket.create_connection(("127.0.0.1", port)):
        began = time.monotonic()
        assert process.stop() == 0
    assert time.monotonic() - began < 3
