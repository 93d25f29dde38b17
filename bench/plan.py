"""What was measured of how it grows (bench.scaling), as tables; and a plan that is simulated from that."""

import math
import statistics
from collections.abc import Sequence
from random import Random
from typing import Any

#: The plan: holds a second, events that are sold at the same time, and how much of a processor may be busy on average,
#: and on the node that is busiest.
_LOAD, _EVENTS, _BUSY, _BUSIEST = 100_000, 2_000, 0.7, 0.85
#: Placements of the events that are tried, and how many of them a number of nodes has to carry.
_PLACEMENTS, _CARRIED = 200, 0.95
#: How unequally events are sold: the n-th has 1 / n^exponent of the holds of the first.
_EXPONENTS = {"all alike": 0.0, "some are wanted more (n^-0.5)": 0.5, "few are wanted by most (n^-0.8)": 0.8}
_SLOTS = 16_384


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
    costs, sent = _costs(content["cluster"]["three primaries"]), content["bytes"]
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
                f"{_mbit(sent['http']):,.0f} Mbit/s",
                f"{_mbit(sent['state']) / nodes:,.0f} Mbit/s",
                f"{_mbit(sent['replica']) / nodes:,.0f} Mbit/s",
                f"{_mbit(sent['queue']) / queues:,.0f} Mbit/s",
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
