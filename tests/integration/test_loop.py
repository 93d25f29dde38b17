"""Requests that are answered in the server's own loop, by a real Waitress."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from waitress import wasyncore
from waitress.server import create_server

from reservation_http.connection import Connection
from reservation_http.rounds import RoundDispatcher


@pytest.fixture
def port() -> Iterator[int]:
    """A server's that is about to hold back more than it likes for any one client."""
    stopping = threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow/limit":
            (channel,) = server.active_channels.values()
            server.adj.outbuf_high_watermark = channel.total_outbufs_len + 500
        body = b"x" * (10_000_000 if environ["PATH_INFO"] == "/slow" else 100)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    channels: dict[int, Any] = {}
    listener = socket.create_server(("127.0.0.1", 0))
    server: Any = create_server(app, map=channels, sockets=[listener], threads=1, channel_request_lookahead=0)
    server.channel_class = Connection
    rounds = RoundDispatcher(server.task_dispatcher, lambda path: path.startswith("/slow"), lambda: None)
    rounds.serve(server)

    def loop() -> None:
        while not stopping.is_set():
            wasyncore.loop(timeout=0.05, map=channels, use_poll=True, count=1)
            rounds.work()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    stopping.set()
    thread.join(5)
    server.task_dispatcher.shutdown(timeout=0)
    wasyncore.close_all(channels)


def _ask(connection: socket.socket, *paths: str) -> None:
    connection.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() for path in paths))


def test_a_client_that_does_not_read_keeps_only_a_thread_of_the_pool(port: int) -> None:
    """What it asks for next may have to wait until it reads, even if it is quick; others do not."""
    with socket.create_connection(("127.0.0.1", port)) as greedy:
        _ask(greedy, "/slow", "/slow/limit", *["/quick"] * 10)
        greedy.recv(1, socket.MSG_PEEK)
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as other:
                _ask(other, "/quick")
                assert other.recv(100).startswith(b"HTTP/1.1 200")
            threading.Event().wait(0.02)


def test_a_connection_that_fails_is_closed_and_no_other_is(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As what a connection raises in Waitress's own loop: it must not end the process."""
    with (
        socket.create_connection(("127.0.0.1", port)) as failing,
        socket.create_connection(("127.0.0.1", port)) as other,
    ):
        with monkeypatch.context() as patched:
            patched.setattr(Connection, "service", lambda _: 1 / 0)
            failing.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            failing.settimeout(10)
            assert failing.recv(1) == b""
        other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        other.settimeout(10)
        assert other.recv(8) == b"HTTP/1.1"
