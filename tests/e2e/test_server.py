"""Waitress as it is set up: slow clients, large heads, and stopping."""

import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import pytest

from reservation.embedded import EmbeddedRedis
from tests.conftest import wait_for
from tests.e2e.conftest import Process, free_port


@pytest.fixture
def make_api(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[Callable[..., tuple[Process, int]]]:
    """Starts API processes."""
    started: list[Process] = []

    def make(**environment: str) -> tuple[Process, int]:
        port = free_port()
        process = Process("api", cwd=tmp_path, PORT=str(port), REDIS_URL=redis_server.url(), **environment)
        started.append(process)
        process.wait_for_line("serving")
        return process, port

    yield make
    for process in started:
        if process.process.poll() is None:
            process.stop()


@pytest.fixture(scope="module")
def shared_api(redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One for many: the port of an API process that outlives what it is sent."""
    port = free_port()
    process = Process("api", cwd=tmp_path_factory.mktemp("api"), PORT=str(port), REDIS_URL=redis_server.url())
    process.wait_for_line("serving")
    yield port
    assert process.process.poll() is None
    process.stop()


@pytest.fixture
def api(make_api: Callable[..., tuple[Process, int]]) -> tuple[Process, int]:
    """An API process of its own."""
    return make_api(REQUEST_TIMEOUT="1")


NEW = {"name": "Gala", "totalSeats": 10}


@contextmanager
def _many(port: int, number: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections that have sent no more than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, number + 500)), hard))
    opened: list[socket.socket] = []
    try:
        for _ in range(number):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            opened[-1].sendall(sent)
        yield opened
    finally:
        for connection in opened:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _closed(connection: socket.socket) -> bool:
    """Whether the service has closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def _serves(port: int, times: int = 20) -> bool:
    """Whether others are served, each on a connection of their own."""
    answers = [httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code for _ in range(times)]
    return answers == [200] * times


def test_two_hundred_that_drip_keep_nobody_waiting(make_api: Callable[..., tuple[Process, int]]) -> None:
    """A byte a second from each, of a head or of a body; what others lose by it is measured in the benchmark."""
    _, port = make_api(REQUEST_TIMEOUT="30")
    body = b"POST /seats/hold HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n"
    with _many(port, 100, b"GET /") as heads, _many(port, 100, body) as bodies:
        for _ in range(4):
            for connection in (*heads, *bodies):
                connection.sendall(b"x")
            assert _serves(port)
            time.sleep(1)
        assert not any(map(_closed, (*heads, *bodies)))


def test_two_thousand_that_are_idle_do_not_stop_it(make_api: Callable[..., tuple[Process, int]]) -> None:
    """As many as are allowed at all, and more: who has been idle for longest makes room."""
    process, port = make_api(CONNECTION_LIMIT="2000")
    with _many(port, 2_000) as idle:
        assert _serves(port)
        with _many(port, 500) as more:
            assert _serves(port)
            assert not any(map(_closed, more[-100:]))
            assert all(map(_closed, idle[:100]))
    assert "Traceback" not in process.output


def test_requests_that_never_end_make_room_too(make_api: Callable[..., tuple[Process, int]]) -> None:
    """Where all that may connect have, and each has begun a request."""
    _, port = make_api(CONNECTION_LIMIT="100", REQUEST_TIMEOUT="60")
    with _many(port, 300, b"GET / HTTP/1.1\r\n"):
        assert _serves(port)


def test_it_raises_its_limit_of_open_files(make_api: Callable[..., tuple[Process, int]]) -> None:
    """As far as it may, where it is started with too low a one; and has fewer connections where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        process, port = make_api(CONNECTION_LIMIT="400")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "fewer connections" not in process.output
    with _many(port, 350):
        assert _serves(port)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/health/live").status_code == 200
    if (limits := Path(f"/proc/{process.process.pid}/limits")).exists():
        (line,) = (line for line in limits.read_text().splitlines() if line.startswith("Max open files"))
        assert int(line.split()[3]) == 600


def test_clients_that_do_not_read_are_cut_off(api: tuple[Process, int]) -> None:
    """Neither their answers nor they themselves are kept; others are served meanwhile."""
    _, port = api
    made = httpx.post(f"http://127.0.0.1:{port}/events/create", json={**NEW, "totalSeats": 10_000})
    request = b"GET /seats/list/%s HTTP/1.1\r\nHost: x\r\n\r\n" % made.json()["id"].encode()
    with _many(port, 20, request * 50) as greedy:
        until = time.monotonic() + 30
        while greedy and time.monotonic() < until:
            assert _serves(port, 2)
            assert httpx.post(f"http://127.0.0.1:{port}/events/create", json=NEW, timeout=5).status_code == 201
            greedy = [connection for connection in greedy if not _drips_on(connection)]
            time.sleep(0.1)
    assert greedy == []


def test_who_does_not_read_makes_room_for_others(make_api: Callable[..., tuple[Process, int]]) -> None:
    """Where all that may connect have, and none takes its answer."""
    _, port = make_api(CONNECTION_LIMIT="100", REQUEST_TIMEOUT="60")

    def served() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=2).status_code == 200
        return False

    with _many(port, 110, b"GET /docs/swagger-ui.js HTTP/1.1\r\nHost: x\r\n\r\n" * 4):
        wait_for(served)
        assert _serves(port)


def test_requests_without_end_keep_nobody_waiting_for_theirs(api: tuple[Process, int]) -> None:
    """On a few connections, as fast as they are answered: others have their turn."""
    _, port = api
    stop, answered = threading.Event(), threading.Event()

    def flood(connection: socket.socket) -> None:
        with suppress(OSError):
            while not stop.is_set():
                connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" * 250)

    def read(connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(65_536):
                answered.set()

    with _many(port, 30) as connections:
        threads = [threading.Thread(target=work, args=(c,), daemon=True) for c in connections for work in (flood, read)]
        for thread in threads:
            thread.start()
        assert answered.wait(10)
        assert _serves(port, 5)
        stop.set()
        for connection in connections:
            connection.shutdown(socket.SHUT_RDWR)


def _drips_on(connection: socket.socket) -> bool:
    """Reads a little of an answer; returns whether the connection has been closed. What has been received already
    could be read from one that is, so it sends something too."""
    try:
        connection.send(b"x")
        return connection.recv(64) == b""
    except OSError:
        return True


#: Requests that two servers may read differently, so that one could be hidden in another.
_HIDDEN = b"GET /health/live HTTP/1.1\r\nHost: hidden\r\n\r\n"
_KEPT = b"Connection: keep-alive\r\n"
_POST = b"POST /seats/hold HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        _POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(_HIDDEN) + _HIDDEN,
        _POST + b"Content-Length: 0, %d\r\n\r\n" % len(_HIDDEN) + _HIDDEN,
        _POST + b"Content-Length: +0\r\n\r\n" + _HIDDEN,
        _POST + b"Content-Length: -1\r\n\r\n" + _HIDDEN,
        _POST + b"Content-Length: 0x0\r\n\r\n" + _HIDDEN,
        _POST + b"Content-Length: 1_0\r\n\r\n" + _HIDDEN,
        _POST + b"Content-Length : 0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\n\r\n" + _HIDDEN,
        _POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n" + _HIDDEN,
        _POST + b"X-Folded: a\r\n b\r\nContent-Length: x\r\n\r\n" + _HIDDEN,
        _POST + b"X: a\nContent-Length: 0\r\n\r\n" + _HIDDEN,
        _POST + b"X: a\rContent-Length: 0\r\n\r\n" + _HIDDEN,
        _POST + b"X: \0\r\nContent-Length: 0x\r\n\r\n" + _HIDDEN,
        _POST + b"Bad Name: 1\r\nContent-Length: x\r\n\r\n" + _HIDDEN,
        _POST + b": empty\r\nContent-Length: x\r\n\r\n" + _HIDDEN,
        _POST + b"no colon\r\nContent-Length: x\r\n\r\n" + _HIDDEN,
        _POST + b"Content-Length: " + b"1" * 5_000 + b"\r\n\r\n" + _HIDDEN,
        _POST + b"Host: y\r\nContent-Length: 2\r\n\r\n{}" + _HIDDEN,
        _POST.replace(b"Host: x\r\n", b"") + b"Content-Length: 2\r\n\r\n{}" + _HIDDEN,
        _POST.replace(b"1.1", b"1.0") + _KEPT + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _POST.replace(b"1.1", b"1.0")
        + _KEPT
        + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n"
        + _HIDDEN,
        _POST.replace(b"1.1", b"1.2") + _KEPT + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _HIDDEN,
        b"GET /health/live HTTP/9.9\r\nHost: x\r\n\r\n" + _HIDDEN,
        b"GET /health/live\r\n\r\n" + _HIDDEN,
        b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n" + _HIDDEN,
        b"GET /health/live HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n" + _HIDDEN,
        b"GET  /health/live  HTTP/1.1\r\nHost: x\r\n\r\n" + _HIDDEN,
        b"get /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + _HIDDEN,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _HIDDEN,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n" + _HIDDEN,
        b"*1\r\n$4\r\nPING\r\n\r\n" + _HIDDEN,
        b"\0" * 100 + b"\r\n\r\n" + _HIDDEN,
    ],
    ids=map(str, count()),
)
def test_no_request_is_hidden_in_another(shared_api: int, request_: bytes) -> None:
    """What can be read in two ways (RFC 9112, section 11.2) is refused, and nothing that follows is answered."""
    answer = _answers_to(shared_api, request_)
    (status,) = re.findall(rb"HTTP/1\.[01] (\d+) ", answer)
    assert 400 <= int(status) < 500 or status == b"501"
    assert b"application/problem+json" in answer
    assert httpx.get(f"http://127.0.0.1:{shared_api}/health/live").status_code == 200


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        # HTTP/1.0 closes after one, and needs no Host.
        (b"GET /health/live HTTP/1.0\r\n\r\n" + _HIDDEN, [b"200"]),
        # Never comes to its end.
        (_POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + _HIDDEN, []),
        # Two requests, as anybody reads them.
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + _HIDDEN, [b"200", b"200"]),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _HIDDEN, [b"400", b"200"]),
    ],
    ids=map(str, count()),
)
def test_requests_that_can_be_read_in_one_way(shared_api: int, request_: bytes, statuses: list[bytes]) -> None:
    """Are answered, each once."""
    assert re.findall(rb"HTTP/1\.[01] (\d+) ", _answers_to(shared_api, request_)) == statuses


def _answers_to(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


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
        (b"POST /events/create HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400, "bad-request"),
        (b"POST /events/create HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", 413, "body-too-large"),
        (b"POST /events/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "not-implemented"),
    ],
)
def test_what_is_no_request_is_refused_in_a_problem(shared_api: int, request_: bytes, status: int, slug: str) -> None:
    """By the server, before the application sees it, in the same form."""
    answer = _answers_to(shared_api, request_)
    head, _, problem = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status))
    assert b"application/problem+json" in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"\r\nServer:" not in head
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


def test_it_leaves_before_it_stops(make_api: Callable[..., tuple[Process, int]]) -> None:
    """With SHUTDOWN_DELAY a balancer can notice: 503 while it still serves whoever connects, then the end."""
    process, port = make_api(SHUTDOWN_DELAY="2")
    url = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{url}/health/ready").status_code == 200
    process.process.terminate()
    wait_for(lambda: httpx.get(f"{url}/health/ready").status_code == 503)
    assert httpx.get(f"{url}/health/ready").json()["status"] == "stopping"
    assert httpx.post(f"{url}/events/create", json=NEW).status_code == 201
    assert process.stop() == 0


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
