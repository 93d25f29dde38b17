"""How it grows: throughput by processes, on one machine; what a hold costs each part on a cluster; and a plan for many
holds a second, simulated from that.

    python -m bench.scaling [--rounds N] [--no-docs]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import redis
from rich.console import Console

from bench import load, plan, processes, results
from bench.servers import Client, Service
from reservation import embedded
from tests.cluster import cluster

_APIS, _WORKERS = (1, 2), (1, 2, 4)
_SECONDS, _WARM_UP_S = 4.0, 2.0
_SEATS = 10_000
#: How long a hold lasts, seconds: none ends meanwhile.
_HOLD_S = "900"


@dataclass
class Measured:
    """What was seen of one service in one round.

    Attributes:
        holds_s: holds a second, each followed to its end.
        cpu_us: processor time of a hold, microseconds, by part; `wrk` is the load generator.
        busy: processors that were busy, of both sides.
    """

    holds_s: float
    cpu_us: dict[str, float]
    busy: float


@dataclass
class Bytes:
    """What a hold sends over each link, both ways, bytes. `replica`: from a primary to its replica."""

    http: float
    state: float
    queue: float
    replica: float


def main() -> None:
    """Measures, prints, and writes bench/results/scaling.json and the tables of docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-docs", action="store_true", help="write nothing")
    options = parser.parse_args()
    console, began = Console(), time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:3.0f} s  {text}")

    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        grid = by_processes(Path(folder), options.rounds, say)
        pair, sent = on_a_cluster(Path(folder), options.rounds, say)
    content = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": results.machine(),
        "versions": results.versions(),
        "grid": [
            {"api": api, "workers": workers, "rounds": list(map(asdict, seen))} for (api, workers), seen in grid.items()
        ],
        "cluster": {name: list(map(asdict, seen)) for name, seen in pair.items()},
        "bytes": asdict(sent),
    }
    for text in (plan.growth(content), plan.plan(content)):
        console.print(text, markup=False, soft_wrap=True)
    if not options.no_docs:
        (results.FOLDER / "scaling.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        write_docs(content)


def by_processes(folder: Path, rounds: int, say: Any) -> dict[tuple[int, int], list[Measured]]:
    """Each number of API processes with each of workers, in turn, round by round. One service at a time: six that are
    idle have work enough to be in the way."""
    seen: dict[tuple[int, int], list[Measured]] = {}
    for number in range(1, rounds + 1):
        for api in _APIS:
            for workers in _WORKERS:
                part = folder / f"{number}-{api}-{workers}"
                part.mkdir()
                counts = {"API_PROCESSES": str(api), "WORKER_PROCESSES": str(workers)}
                service = Service(part, LOCK_EXPIRATION_TIME=_HOLD_S, **counts)
                with service.up() as client:
                    _follow(service, client, _WARM_UP_S)
                    seen.setdefault((api, workers), []).append(_measure(service, client))
        say(f"round {number} of {rounds}")
    return seen


def on_a_cluster(folder: Path, rounds: int, say: Any) -> tuple[dict[str, list[Measured]], Bytes]:
    """One API process and one worker, on one server and on three, in turn; and what a hold sends."""
    seen: dict[str, list[Measured]] = {"one server": [], "three primaries": []}
    with cluster() as nodes, ExitStack() as stack:
        services = {}
        (folder / "queue").mkdir()
        queue = stack.enter_context(embedded.EmbeddedRedis(folder / "queue", durable=False))
        spread = {"REDIS_URL": nodes.url(), "BROKER_URL": queue.url()}
        for name, where in (("one server", {}), ("three primaries", spread)):
            say(f"starting a service on {name}")
            part = folder / name.replace(" ", "-")
            part.mkdir()
            service = Service(part, LOCK_EXPIRATION_TIME=_HOLD_S, API_PROCESSES="1", WORKER_PROCESSES="1", **where)
            services[name] = (service, stack.enter_context(service.up()))
        for number in range(rounds + 1):
            for name, (service, client) in services.items():
                measured = _measure(service, client)
                if number:
                    seen[name].append(measured)
            say(f"round {number} of {rounds}")
        service, client = services["one server"]
        with (
            _database(service, "redis") as state,
            _database(service, "queue") as messages,
        ):
            before = [_network(server) for server in (state, messages)]
            written = _written(state)
            done = _follow(service, client)
            state_bytes, queue_bytes = (
                (_network(server) - then) / done.ended for server, then in zip((state, messages), before, strict=True)
            )
            replica = (_written(state) - written) / done.ended
        return seen, Bytes(_http_bytes(service, client), state_bytes, queue_bytes, replica)


def _measure(service: Service, client: Client) -> Measured:
    pids = processes.roles(os.getpid())
    before = {role: sum(map(processes.cpu_s, found)) for role, found in pids.items()}
    wrk = processes.children_cpu_s()
    done = _follow(service, client)
    used = {role: sum(map(processes.cpu_s, found)) - before[role] for role, found in pids.items()}
    used["wrk"] = processes.children_cpu_s() - wrk
    cpu_us = {role: each / done.ended * 1e6 for role, each in used.items()}
    return Measured(done.ended / done.seconds, cpu_us, sum(used.values()) / done.seconds)


def _follow(service: Service, client: Client, seconds: float = _SECONDS) -> load.Load:
    events = client.create_events(max(1, round(seconds * 4_000) // _SEATS), _SEATS)
    return load.run(service.url, "follow", events, _SEATS, seconds=seconds)


@contextmanager
def _database(service: Service, name: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(embedded.url(service.folder / "var" / name), decode_responses=True) as server:
        yield server


def _network(server: redis.Redis) -> int:
    stats = server.info("stats")
    return int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])


def _written(server: redis.Redis) -> int:
    """What it has appended to its file, which is what it sends to a replica."""
    return int(server.info("persistence")["aof_current_size"])


def _http_bytes(service: Service, client: Client) -> float:
    """Of a hold and of one look at its job, with their answers."""
    (event,) = client.create_events(1, 10)
    body = json.dumps({"id": f"{event}-1", "UUID": str(uuid4())})
    connection = HTTPConnection(urlsplit(service.url).netloc)
    sent, answer = 0, b""
    for method, text in (("POST", body), ("GET", None)):
        path = "/seats/hold" if text else json.loads(answer)["statusEndpoint"]
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        response = connection.getresponse()
        answer = response.read()
        head = sum(len(name) + len(value) + 4 for name, value in response.getheaders())
        sent += len(text or "") + len(path) + 150 + head + 20 + len(answer)
    connection.close()
    return sent


def write_docs(content: dict[str, Any]) -> None:
    """Puts the tables into docs/performance.md."""
    text = results.DOCS.read_text(encoding="utf-8")
    for name, table in (("growth", plan.growth(content)), ("plan", plan.plan(content))):
        before, begin, rest = text.partition(f"<!-- {name}: written by the benchmark -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->\n")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    results.DOCS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
