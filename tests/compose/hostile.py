"""What HAProxy has to keep from the API."""

import socket
import time
from contextlib import ExitStack

import httpx

#: Requests that are none, by what is wrong with them.
MALFORMED = {
    "no version that there is": b"GET /health/live HTTP/9.9\r\nHost: x\r\n\r\n",
    "a line that is none": b"hello\r\n\r\n",
    "a space in a header's name": b"GET /health/live HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n",
    "a header without a colon": b"GET /health/live HTTP/1.1\r\nHost: x\r\nbad\r\n\r\n",
    "a NUL": b"GET /health/live HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "a length that is no number": b"POST /seats/hold HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    "two lengths": b"POST /seats/hold HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two hosts": b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
}
#: Ways to write /metrics.
METRICS = ["/metrics", "//metrics", "/%6detrics", "/%2Fmetrics", "/metrics/", "/metrics?x=1", "http://x/metrics"]
#: Who begins a request and does not end it.
SLOW = {
    "head": b"GET /health/live HTTP/1.1\r\nHost:",
    "body": b"POST /seats/hold HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{",
}


def status(port: int, sent: bytes) -> int:
    """The status that it is answered with; 0 if there is no answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        return _status(connection)


def get(path: str) -> bytes:
    """A request that is one."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def problem(port: int, sent: bytes) -> str:
    """The content type of its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        head = connection.recv(4096).partition(b"\r\n\r\n")[0].decode().lower()
    return next((line.partition(":")[2].strip() for line in head.split("\r\n") if line.startswith("content-type:")), "")


def events_created(address: str, port: int, number: int) -> int:
    """How many of so many events are created for somebody who says each time to come from somewhere else."""
    created = 0
    for count in range(number):
        headers = {"X-Forwarded-For": f"203.0.113.{count}"}
        new = {"name": "Forged", "totalSeats": 10}
        answer = httpx.post(f"http://{address}:{port}/events/create", json=new, headers=headers, trust_env=False)
        created += answer.status_code == 201
    return created


def cut_after_s(port: int) -> dict[str, tuple[int, float]]:
    """How each of the slow is answered, and when, while all of them wait at the same time."""
    found = {}
    with ExitStack() as opened:
        began = time.monotonic()
        connections = {}
        for name, sent in SLOW.items():
            connections[name] = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            connections[name].sendall(sent)
        for name, connection in connections.items():
            found[name] = (_status(connection), time.monotonic() - began)
    return found


def served_of(port: int, number: int) -> int:
    """How many of so many connections, all open at the same time, are answered."""
    with ExitStack() as opened:
        connections = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(number)
        ]
        asked = get("/health/live").replace(b"Connection: close\r\n", b"")
        served = 0
        for connection in connections:
            try:
                connection.sendall(asked)
                served += _status(connection) == 200
            except OSError:
                continue
        return served


def _status(connection: socket.socket) -> int:
    try:
        line = connection.recv(4096).partition(b"\r\n")[0]
    except ConnectionResetError:
        return 0
    return int(line.split()[1]) if line.startswith(b"HTTP/1.") else 0
