"""What `appendfsync always` costs: holds a second and their latency, against `everysec` and `no`.

    python bench/fsync.py [FOLDER] [ROUNDS]

A hold is the two scripts behind it, accept and hold, as the domain layer calls them, one after the other
on one connection. The calls are prepared beforehand and replayed from one process over 1, 16 and 50
connections, so that the server is what is measured; each run has an embedded server of its own, in
FOLDER, which must be on a disk. The three settings take turns, in another order each round.
"""

import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import hiredis
import redis
from rich.console import Console
from rich.table import Table

from reservation.codes import Code
from reservation.connections import connect
from reservation.embedded import EmbeddedRedis, socket_path
from reservation.events import Events
from reservation.guard import Guard, ServerClock
from reservation.ids import JobId, SeatId, new_event_id
from reservation.rooms import Rooms
from reservation.scripts import Scripts
from reservation.seats import Policy, Seats
from reservation.settings import Settings, load
from reservation.store import Store

_SETTINGS = ("always", "everysec", "no")
_CONNECTIONS = (1, 16, 50)
#: The two behind a hold.
_SCRIPTS = ("accept_hold", "hold")
#: Seats of an event, the most there can be: a run ends when they are held, or after so many seconds.
_SEATS, _RUN_S = 10_000, 1.0
#: Measurement of the disk: how many writes a round, and their size in bytes, about what a script appends.
_SYNCS, _WRITE = 100, 1_024

#: The two calls of a hold, as they are sent.
Hold = tuple[bytes, bytes]


class Run(NamedTuple):
    """What a run came to.

    Attributes:
        rate: holds a second.
        p50_ms: the median time of a hold.
        p99_ms: what one hold in a hundred exceeded.
    """

    rate: float
    p50_ms: float
    p99_ms: float


class Work(NamedTuple):
    """What is replayed in each run.

    Attributes:
        event_id: the event that there must be.
        scripts: the scripts that the server must know.
        holds: one of each of the event's seats.
    """

    event_id: str
    scripts: list[str]
    holds: list[Hold]


class Recorder(Scripts):
    """Notes the calls of holds; nothing is sent."""

    def __init__(self) -> None:
        super().__init__(connect("redis://", connections=1), Guard("none", bool))
        self.calls: list[bytes] = []

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | int] = (), *, alone: bool = False) -> Any:
        """Answers as if the call had succeeded."""
        if name in _SCRIPTS:
            call: Any = ("EVALSHA", self._scripts[name].sha, len(keys), *keys, *args)
            self.calls.append(hiredis.pack_command(call))
        return [Code.ACCEPTED, 0, 0, 0, ""] if name == "accept_hold" else [Code.HELD, 0]

    def text(self, name: str) -> str:
        """The text of a script, of which the calls have the hash."""
        return self._scripts[name].text

    def execute(self, *command: str | bytes | float) -> Any:
        """Answers as if there were what is asked for."""
        return True


def prepare() -> Work:
    """Makes up an event, and a user for each of its seats."""
    event_id, recorder = new_event_id(), Recorder()
    # A clock that was never read sets no limit to how long a call is on its way.
    seats = Seats(recorder, Policy.of(Settings()), ServerClock(lambda: 0.0), Rooms(recorder))
    for number in range(1, _SEATS + 1):
        seat, user, job = SeatId(event_id, number), str(uuid4()), JobId.new(event_id)
        seats.accept_hold(seat, user, job)
        seats.hold(seat, user, job)
    holds = list(zip(recorder.calls[::2], recorder.calls[1::2], strict=True))
    return Work(event_id, [recorder.text(name) for name in _SCRIPTS], holds)


def make_ready(url: str, work: Work) -> None:
    """Creates the event, and loads the scripts."""
    store = Store.connect(load(redis_url=url), connections=1)
    Events(store.scripts, new_id=lambda: work.event_id).create("Opening night", _SEATS)
    for script in work.scripts:
        store.client.script_load(script)
    store.client.close()


def client(connection: socket.socket, holds: Iterator[Hold], until: float, took: list[float]) -> Generator[None, Any]:
    """Makes one hold after the other; is sent each reply. Notes how long each took, in seconds."""
    for calls in holds:
        began = time.perf_counter()
        if began > until:
            return
        for call, code in zip(calls, (Code.ACCEPTED, Code.HELD), strict=True):
            connection.sendall(call)
            reply = yield
            if not isinstance(reply, list) or reply[0] != code:
                raise RuntimeError(f"{reply!r} instead of {code.name}")
        took.append(time.perf_counter() - began)


def replay(path: Path, holds: list[Hold], connections: int) -> Run:
    """Makes the holds over so many connections at once."""
    took: list[float] = []
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        queue = iter(holds)
        for _ in range(connections):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(path))
            work = client(connection, queue, began + _RUN_S, took)
            next(work)
            selector.register(connection, selectors.EVENT_READ, (connection, work, hiredis.Reader()))
        while selector.get_map():
            for key, _ in selector.select():
                connection, work, reader = key.data
                reader.feed(connection.recv(65_536))
                if (reply := reader.gets()) is False:  # not all of it yet
                    continue
                try:
                    work.send(reply)
                except StopIteration:
                    selector.unregister(connection)
                    connection.close()
    rate = len(took) / (time.perf_counter() - began)
    cuts = statistics.quantiles(took, n=100)
    return Run(rate, cuts[49] * 1000, cuts[98] * 1000)


def measure(folder: Path, appendfsync: str, connections: int, work: Work) -> Run:
    """One run, on a server of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="reservation-", dir=folder) as data,
        EmbeddedRedis(Path(data), ["--appendfsync", appendfsync]) as server,
    ):
        make_ready(server.url(), work)
        return replay(socket_path(server.data_dir), work.holds, connections)


def fdatasync_ms(folder: Path) -> list[float]:
    """How long it takes until a little that was appended to a file is on disk, each time."""
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(os.urandom(_WRITE))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return took


def disk(folder: Path) -> str:
    """File system and device of a folder. Raises SystemExit if it has no device."""
    mounts = (line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines())
    found = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    device, point, kind = max(found, key=lambda mount: len(mount[1]))
    if kind in ("tmpfs", "ramfs"):
        raise SystemExit(f"{folder} is on {kind}, which is no disk: name another folder")
    return f"{kind} on {device}, mounted at {point}"


def spread(values: list[float], digits: int = 0) -> list[str]:
    """Least, median and greatest."""
    return [f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values))]


def version(folder: Path) -> str:
    """What the embedded server is."""
    with (
        tempfile.TemporaryDirectory(prefix="reservation-", dir=folder) as data,
        EmbeddedRedis(Path(data)) as server,
        redis.Redis.from_url(server.url()) as client,
    ):
        info = client.info("server")
        return f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"


def main(folder: Path, rounds: int) -> None:
    """Measures and prints a table."""
    console = Console(width=110)
    console.print(f"{version(folder)}; {disk(folder)}")
    work = prepare()
    runs: dict[tuple[int, str], list[Run]] = {}
    syncs_ms: list[float] = []
    for turn in range(rounds):
        syncs_ms += fdatasync_ms(folder)
        for connections in _CONNECTIONS:
            for step in range(len(_SETTINGS)):
                setting = _SETTINGS[(turn + step) % len(_SETTINGS)]
                runs.setdefault((connections, setting), []).append(measure(folder, setting, connections, work))
    table = Table(
        title=f"Holds a second, their share of everysec's in the same round, and a hold's time; {rounds} runs"
    )
    spreads = [f"{what} {which}" for what in ("holds/s", "share") for which in ("min", "median", "max")]
    for column in ("clients", "fsync", *spreads, "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for connections in _CONNECTIONS:
        everysec = runs[connections, "everysec"]
        for setting in _SETTINGS:
            mine = runs[connections, setting]
            shares = [run.rate / other.rate for run, other in zip(mine, everysec, strict=True)]
            table.add_row(
                str(connections),
                setting,
                *spread([run.rate for run in mine]),
                *spread(shares, 2),
                f"{statistics.median(run.p50_ms for run in mine):.2f}",
                f"{statistics.median(run.p99_ms for run in mine):.2f}",
                end_section=setting == _SETTINGS[-1],
            )
    console.print(table)
    console.print(f"fdatasync of {_WRITE} bytes, ms: min, median, max of {len(syncs_ms)}:", *spread(syncs_ms, 2))
    # Others on the machine are the largest error there is: `no` against `everysec` shows what it is worth.
    console.print("load average over 1, 5 and 15 minutes:", *(f"{busy:.1f}" for busy in os.getloadavg()))


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    )
