"""The live feed under load: how long a change takes from its being made to its being read by those who watch, what that
costs, and what a connection weighs; beside it, the same bytes sent to as many connections by nothing but the kernel.

    python -m bench.feed [--connections N] [--rate N] [--seconds S] [--no-docs]
"""

import argparse
import json
import os
import re
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from bench import processes, results
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.settings import Settings
from reservation.store import Store
from tests.e2e.conftest import Process, free_port

#: Events, and which part of the connections is spread over them, one run each.
_CASES = ((100, 1.0), (10, 1.0), (1, 1.0), (1, 0.4))
#: Of how many connections one has its changes looked at; the others are read, and no more.
_SAMPLE = 20
_WARM_UP_S = 3.0
_FILES = 20_000
_TIME = re.compile(rb'"cause":"\w+","time":(\d+)').findall


@dataclass
class Measured:
    """What was seen of one run.

    Attributes:
        events: that the connections are spread over.
        connections: so many.
        made_s: changes a second that were made, of all events.
        told_s: changes a second that were read, of all connections.
        writes_s: pieces a second in which they were read.
        p50_ms, p99_ms, max_ms: from a change to its being read.
        cpu: of one processor, that the service took; `client_cpu`: that reading took.
        kib: memory of the service for each connection.
        bare_ms: time in which the kernel alone sends a piece of that size to each connection once, one after another.
    """

    events: int
    connections: int
    made_s: float
    told_s: float
    writes_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu: float
    client_cpu: float
    kib: float
    bare_ms: float


def main() -> None:
    """Measures, prints, and writes bench/results/feed.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.feed", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--connections", type=int, default=5_000)
    parser.add_argument("--rate", type=int, default=200, help="changes a second")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--no-docs", action="store_true", help="write nothing")
    parser.add_argument("--read", nargs=3, metavar=("PORT", "PATHS", "COMMAND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, max(_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    if options.read:
        _read(int(options.read[0]), options.read[1].split(","), options.connections)
        return
    console = Console()
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        seen = []
        for events, share in _CASES:
            (part := Path(folder) / f"{events}-{share}").mkdir()
            seen.append(_run(part, events, round(options.connections * share), options.rate, options.seconds))
            console.print(f"{events} events, {seen[-1].connections:,} watching: p99 {seen[-1].p99_ms:.0f} ms")
    content = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": results.machine(),
        "versions": results.versions(),
        "rate": options.rate,
        "seconds": options.seconds,
        "runs": [asdict(one) for one in seen],
    }
    console.print(_table(seen))
    if not options.no_docs:
        (results.FOLDER / "feed.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _table(seen: list[Measured]) -> Table:
    table = Table(
        "events", "watching", "changes/s", "told/s", "p50 ms", "p99 ms", "max ms", "CPU", "KiB each", "bare ms"
    )
    for one in seen:
        table.add_row(
            str(one.events),
            f"{one.connections:,}",
            f"{one.made_s:.0f}",
            f"{one.told_s:,.0f}",
            *(f"{figure:.1f}" for figure in (one.p50_ms, one.p99_ms, one.max_ms)),
            f"{one.cpu:.0%}",
            f"{one.kib:.1f}",
            f"{one.bare_ms:.0f}",
        )
    return table


def _run(folder: Path, events: int, connections: int, rate: int, seconds: float) -> Measured:
    with EmbeddedRedis(folder) as server:
        settings = Settings(_env_file=None, redis_url=server.url(), lock_expiration_time=900)  # type: ignore[call-arg]  # pydantic-settings takes more than mypy sees
        store = Store.connect(settings, connections=4)
        ids = [store.events.create("Opening night", 100).id for _ in range(events)]
        held = [_hold(store, SeatId(event_id, 1)) for event_id in ids]
        limit = str(connections + 100)
        port = free_port()
        process = Process(
            "stream",
            cwd=folder,
            REDIS_URL=server.url(),
            STREAM_PORT=str(port),
            STREAM_CONNECTION_LIMIT=limit,
            STREAM_ADDRESS_LIMIT=limit,
        )
        try:
            process.wait_for_line("serving the feed")
            pid = process.process.pid
            before = processes.resident_mb(pid)
            with _reader(port, [f"/events/{event_id}/stream" for event_id in ids], connections) as reader:
                kib = (processes.resident_mb(pid) - before) * 1024 / connections
                _change(store, held, rate, _WARM_UP_S)
                reader.tell("begin")
                cpu, began = processes.cpu_s(pid), time.monotonic()
                made = _change(store, held, rate, seconds)
                took = time.monotonic() - began
                cpu = (processes.cpu_s(pid) - cpu) / took
                reader.tell("end")
                read = reader.answer()
                bare_ms = _bare(reader, round(read["bytes"] / max(read["pieces"], 1)), connections)
            late: list[float] = sorted(read["late_ms"])
            return Measured(
                events=events,
                connections=connections,
                made_s=made / took,
                told_s=len(late) * _SAMPLE / took,
                writes_s=read["pieces"] / took,
                p50_ms=statistics.median(late),
                p99_ms=late[int(len(late) * 0.99)],
                max_ms=late[-1],
                cpu=cpu,
                client_cpu=read["cpu_s"] / took,
                kib=kib,
                bare_ms=bare_ms,
            )
        finally:
            process.stop()


def _hold(store: Store, seat: SeatId) -> tuple[SeatId, str]:
    user, job = str(uuid4()), JobId.new(seat.event)
    store.seats.accept_hold(seat, user, job)
    store.seats.hold(seat, user, job)
    return seat, user


def _change(store: Store, held: list[tuple[SeatId, str]], rate: int, seconds: float) -> int:
    """Refreshes holds at a steady rate, each event's in turn. Returns how often."""
    began = time.monotonic()
    made = 0
    while (now := time.monotonic() - began) < seconds:
        due = min(int(now * rate) + 1, int(seconds * rate))
        for number in range(made, due):
            store.seats.refresh(*held[number % len(held)])
        made = due
        time.sleep(max(0.0, made / rate - (time.monotonic() - began)))
    return made


class _Reader:
    """The process that has the connections."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def tell(self, line: str) -> None:
        print(line, file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() if self._process.stdout else "")
        return answer


@contextmanager
def _reader(port: int, paths: list[str], connections: int) -> Iterator[_Reader]:
    command = [sys.executable, "-m", "bench.feed", "--connections", str(connections)]
    process = subprocess.Popen(
        [*command, "--read", str(port), ",".join(paths), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        reader = _Reader(process)
        reader.answer()  # all have been sent the seats
        yield reader
    finally:
        process.kill()
        process.wait()


def _read(port: int, paths: list[str], connections: int) -> None:
    """Has the connections: says when all have been answered, reads from `begin` to `end`, and says what it saw."""
    poll = select.epoll()
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    sockets: dict[int, socket.socket] = {}
    sampled = set()
    for number in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        sockets[one.fileno()] = one
        if number % _SAMPLE == 0:
            sampled.add(one.fileno())
    for one in sockets.values():
        said = b""
        while b"event: snapshot" not in said:
            said += one.recv(65_536)
        one.setblocking(False)
        poll.register(one.fileno(), select.EPOLLIN)
    print("{}", flush=True)  # noqa: T201 - to who started it
    buffer = bytearray(65_536)
    late: list[float] = []
    measuring, pieces, size, cpu_s = False, 0, 0, 0.0
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == sys.stdin.fileno():
                if not measuring:
                    sys.stdin.readline()
                    measuring, cpu_s = True, time.process_time()
                    continue
                seen = {"late_ms": late, "pieces": pieces, "bytes": size, "cpu_s": time.process_time() - cpu_s}
                print(json.dumps(seen), flush=True)  # noqa: T201 - to who started it
                _read_bare(sockets, poll)
                return
            read = sockets[descriptor].recv_into(buffer)
            if not read:
                raise SystemExit("a connection was closed")
            if measuring:
                pieces, size = pieces + 1, size + read
                if descriptor in sampled:
                    now_ms = time.time() * 1000
                    late += [now_ms - int(made) for made in _TIME(buffer[:read])]


def _bare(reader: _Reader, size: int, connections: int) -> float:
    """How long the kernel alone takes to send so many bytes to each of as many connections, ms: the median of ten."""
    data = b"x" * size
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        reader.tell(f"end\n{listener.getsockname()[1]} {connections}")
        senders = [listener.accept()[0] for _ in range(connections)]
    rounds = []
    for _ in range(10):
        began = time.perf_counter()
        for sender in senders:
            sender.send(data)
        rounds.append((time.perf_counter() - began) * 1000)
        time.sleep(0.3)
    for sender in senders:
        sender.close()
    return statistics.median(rounds)


def _read_bare(sockets: dict[int, socket.socket], poll: select.epoll) -> None:
    """Reads what `_bare` sends, for as long as it does."""
    for one in sockets.values():
        poll.unregister(one.fileno())
        one.close()
    line = ""
    while " " not in line:
        line = sys.stdin.readline()
    port, connections = map(int, line.split())
    readers = {}
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        readers[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLIN)
    buffer = bytearray(65_536)
    while readers:
        for descriptor, _ in poll.poll():
            if descriptor in readers and not readers[descriptor].recv_into(buffer):
                readers.pop(descriptor).close()
    os._exit(0)


if __name__ == "__main__":
    main()
