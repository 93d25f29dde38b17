"""How it grows: throughput by processes, on one machine; what a hold costs each part on a cluster; and a plan for many
holds a second, simulated from that.

    python -m bench.scaling [--rounds N] [--no-docs]
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import redis
from rich.console import Console

from bench import load, processes, results
from bench.servers import Client, Service
from reservation import embedded
from tests.cluster import cluster

_APIS, _WORKERS = (1, 2), (1, 2, 4)
_SECONDS, _WARM_UP_S = 4.0, 2.0
_SEATS = 10_000
#: How long a hold lasts, seconds: none ends meanwhile.
_HOLD_S = "900"
#: The plan: holds a second, events that are sold at the same time, and how much of a processor may be busy on average,
#: and on the node that is busiest.
_LOAD, _EVENTS, _BUSY, _BUSIEST = 100_000, 2_000, 0.7, 0.85
#: Placements of the events that are tried, and how many of them a number of nodes has to carry.
_PLACEMENTS, _CARRIED = 200, 0.95
#: How unequally events are sold: the n-th has 1 / n^exponent of the holds of the first.
_EXPONENTS = {"all alike": 0.0, "some are wanted more (n^-0.5)": 0.5, "few are wanted by most (n^-0.8)": 0.8}
_SLOTS = 16_384


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
    for text in (growth(content), plan(content)):
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


def growth(content: dict[str, Any]) -> str:
    """The first table: throughput by processes."""
    lines = [
        "| API processes | workers | holds/s | of 1 and 1 | busy | µs a hold: API | workers | Redis | load |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    first = [each["holds_s"] for each in content["grid"][0]["rounds"]]
    for case in content["grid"]:
        rounds = case["rounds"]
        ratios = [each["holds_s"] / one for each, one in zip(rounds, first, strict=True)]
        costs = _costs(rounds)
        servers = costs["redis"] + costs["queue"]
        lines.append(
            f"| {case['api']} | {case['workers']} | {_spread([each['holds_s'] for each in rounds], '{:,.0f}')} "
            f"| {_spread(ratios, '{:.2f}')} | {_spread([each['busy'] for each in rounds], '{:.2f}')} "
            f"| {costs['api']:.0f} | {costs['worker']:.0f} | {servers:.0f} | {costs['wrk']:.0f} |"
        )
    one, three = content["cluster"]["one server"], content["cluster"]["three primaries"]
    ratios = [b["holds_s"] / a["holds_s"] for a, b in zip(one, three, strict=True)]
    cost_one, cost_three = _costs(one), _costs(three)
    of_one = f"{_spread([each['holds_s'] for each in three], '{:,.0f}')}: {_spread(ratios, '{:.2f}')} of one"
    lines += [
        "",
        "| 1 API process, 1 worker | on one server | on three primaries |",
        "|---|---|---|",
        f"| holds/s | {_spread([each['holds_s'] for each in one], '{:,.0f}')} | {of_one} |",
        *(
            f"| µs a hold: {name} | {_part(cost_one, role):.0f} | {_part(cost_three, role):.0f} |"
            for role, name in (("api", "API"), ("worker", "workers"), ("redis", "Redis, all"))
        ),
    ]
    return "\n".join(lines) + "\n"


def _part(costs: dict[str, float], role: str) -> float:
    return costs["redis"] + costs["queue"] if role == "redis" else costs[role]


def plan(content: dict[str, Any]) -> str:
    """The second: what so many holds a second take, from the costs on a cluster."""
    costs, sent = _costs(content["cluster"]["three primaries"]), Bytes(**content["bytes"])
    redis_us = costs["redis"]
    queues = math.ceil(_LOAD * costs["queue"] / (_BUSY * 1e6))
    lines = [
        f"| {_LOAD:,} holds/s, {_EVENTS:,} events | " + " | ".join(_EXPONENTS) + " |",
        "|---|" + "---|" * len(_EXPONENTS),
    ]
    columns = []
    for exponent in _EXPONENTS.values():
        shares = _shares(exponent)
        nodes = _nodes(shares, redis_us)
        api, workers = (math.ceil(_LOAD * costs[role] / (_BUSY * 1e6)) for role in ("api", "worker"))
        hottest = max(shares) * _LOAD
        wanted = f"{hottest:,.0f} holds/s: {hottest * redis_us / 1e4:.0f} % of a processor"
        if not nodes:
            columns.append([wanted, "none: one event is more than a node can", *[""] * 11])
            continue
        columns.append(
            [
                wanted,
                f"{nodes}",
                f"{_LOAD * redis_us / nodes / 1e4:.0f} %",
                f"{nodes}",
                f"{queues}",
                f"{3 * queues}",
                f"{api}",
                f"{workers}",
                f"{_mbit(sent.http):,.0f} Mbit/s",
                f"{_mbit(sent.state) / nodes:,.0f} Mbit/s",
                f"{_mbit(sent.replica) / nodes:,.0f} Mbit/s",
                f"{_mbit(sent.queue) / queues:,.0f} Mbit/s",
                f"{api + workers + 2 * nodes + queues}",
            ]
        )
    names = [
        "the event that is wanted most",
        "primaries",
        "busy on average",
        "replicas",
        "servers of the queue",
        "`QUEUE_SHARDS`",
        "API processes",
        "workers",
        "HTTP, in all",
        "network of a primary",
        "and to its replica",
        "network of a queue's server",
        "processors in all",
    ]
    for number, name in enumerate(names):
        lines.append(f"| {name} | " + " | ".join(column[number] for column in columns) + " |")
    return "\n".join(lines) + "\n"


def _shares(exponent: float) -> list[float]:
    weights = [1 / number**exponent for number in range(1, _EVENTS + 1)]
    return [weight / sum(weights) for weight in weights]


def _nodes(shares: Sequence[float], redis_us: float) -> int:
    """How many primaries carry the load: so many that the busiest is no busier than it may be, in most of the
    placements that the events' ids may come to. 0 if none does: one event is too much for a node."""
    if max(shares) * _LOAD * redis_us / 1e6 > _BUSIEST:
        return 0
    nodes = math.ceil(_LOAD * redis_us / (_BUSY * 1e6))
    while True:
        choices = Random(nodes)  # noqa: S311 - places events
        carried = sum(_busiest(shares, nodes, choices) * _LOAD * redis_us / 1e6 <= _BUSIEST for _ in range(_PLACEMENTS))
        if carried >= _CARRIED * _PLACEMENTS:
            return nodes
        nodes += max(1, nodes // 20)


def _busiest(shares: Sequence[float], nodes: int, choices: Random) -> float:
    """The largest share of a node, with each event in a slot by chance, and slots shared out evenly."""
    found = [0.0] * nodes
    for share in shares:
        found[choices.randrange(_SLOTS) * nodes // _SLOTS] += share
    return max(found)


def _mbit(bytes_a_hold: float) -> float:
    return bytes_a_hold * _LOAD * 8 / 1e6


def _costs(rounds: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {role: statistics.median(each["cpu_us"][role] for each in rounds) for role in rounds[0]["cpu_us"]}


def _spread(figures: Sequence[float], form: str) -> str:
    return " / ".join(form.format(each) for each in (min(figures), statistics.median(figures), max(figures)))


def write_docs(content: dict[str, Any]) -> None:
    """Puts the tables into docs/performance.md."""
    text = results.DOCS.read_text(encoding="utf-8")
    for name, table in (("growth", growth(content)), ("plan", plan(content))):
        before, begin, rest = text.partition(f"<!-- {name}: written by the benchmark -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->\n")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    results.DOCS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
