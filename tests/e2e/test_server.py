"""Waitress as it is set up: slow clients, large heads, and stopping."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reservation.embedded import EmbeddedRedis
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
    refused = httpx.get(f"http://127.0.0.1:{port}/", headers={"X-Long": "x" * 9_000})
    assert (refused.status_code, refused.json()["type"]) == (431, "/problems/head-too-large")
    assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200


@pytest.mark.parametrize(
    ("request_", "status", "slug"),
    [
        (b"GET\r\n\r\n", 400, "bad-request"),
        (b"WEBSOCKET /events/x HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "bad-request"),
        (b"NONSENSE /events/x HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "bad-request"),
        (b"POST /events/create HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "bad-request"),
        (b"POST /events/create HTTP/1.1\r\nContent-Length: 70000\r\n\r\n", 413, "body-too-large"),
        (b"POST /events/create HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "not-implemented"),
    ],
)
def test_what_is_no_request_is_refused_in_a_problem(
    api: tuple[Process, int], request_: bytes, status: int, slug: str
) -> None:
    """By the server, before the application sees it, in the same form."""
    _, port = api
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request_)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, problem = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status))
    assert b"application/problem+json" in head
    assert b'"type":"/problems/%s"' % slug.encode() in problem


def test_no_server_banner(api: tuple[Process, int]) -> None:
    """What it runs on is nobody's business."""
    _, port = api
    assert "server" not in httpx.get(f"http://127.0.0.1:{port}/health/live").headers


def _request(body: bytes) -> bytes:
    head = b"POST /events/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def test_requests_that_were_sent_are_answered_before_it_stops(api: tuple[Process, int]) -> None:
    """SIGTERM right after twenty clients asked for 10,000 seats each: 201 for each, then the end."""
    process, port = api
    request = _request(b'{"name": "Opening night", "totalSeats": 10000}')
    clients = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(20)]
    for client in clients:
        client.sendall(request)
    process.process.terminate()
    answers = [client.recv(1000)[:12] for client in clients]
    for client in clients:
        client.close()
    assert answers == [b"HTTP/1.1 201"] * 20
    assert process.stop() == 0
    assert "stopped serving" in process.output


def test_requests_on_one_connection_are_answered_in_order(api: tuple[Process, int]) -> None:
    """Sent all at once; one that the pool answers is not overtaken by those that the loop does."""
    _, port = api
    live, last = (b"GET /health/live HTTP/1.1\r\nHost: x\r\n%s\r\n" % end for end in (b"", b"Connection: close\r\n"))
    create = _request(b'{"name": "Opening night", "totalSeats": 10000}')
    unknown = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(live + unknown + create + live + create + unknown + last)
        answers = b"".join(iter(lambda: connection.recv(4096), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"200", b"404", b"201", b"200", b"201", b"404", b"200"]


def test_an_idle_api_stops_at_once(api: tuple[Process, int]) -> None:
    """Connections that are merely open owe no answer."""
    process, port = api
    with socket.create_connection(("127.0.0.1", port)):
        began = time.monotonic()
        assert process.stop() == 0
    assert time.monotonic() - began < 3


def test_busy_connections_do_not_delay_the_stop(api: tuple[Process, int]) -> None:
    """Each is answered once more and told that it is the last time."""
    process, port = api
    failed: list[str] = []
    stopping = threading.Event()

    def ask() -> None:
        with httpx.Client() as client:
            while True:
                try:
                    answer = client.get(f"http://127.0.0.1:{port}/health/live")
                except httpx.ConnectError:
                    return  # nobody listens any more
                except httpx.TransportError as error:
                    failed.append(repr(error))
                    return
                if answer.headers.get("connection") == "close" and stopping.is_set():
                    return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    stopping.set()
    assert process.stop() == 0
    assert time.monotonic() - began < 5
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_request_that_is_still_arriving_is_answered(api: tuple[Process, int]) -> None:
    """Its rest may come after SIGTERM."""
    process, port = api
    request = _request(b'{"name": "Opening night", "totalSeats": 10}')
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request[:-20])
        time.sleep(0.1)
        process.process.terminate()
        time.sleep(0.4)
        connection.sendall(request[-20:])
        assert connection.recv(100).startswith(b"HTTP/1.1 201")
    assert process.stop() == 0
