"""Runs a crowd against a service of its own, checks it, and prints what it cost.

python -m tests.crowd [--people N] [--rate PER_MINUTE] [--threads N]
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import redis
from rich.console import Console

from bench.servers import Client, Service, redis_servers
from tests.crowd.checks import check, check_strangers
from tests.crowd.people import gather, wait


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(prog="python -m tests.crowd", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=12_000, help="admissions a minute")
    parser.add_argument("--threads", type=int, default=16)
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="reservation-") as name:
        folder = Path(name)
        with redis_servers(folder) as (state, queue):
            service = Service(folder, REDIS_URL=state.url(), BROKER_URL=queue.url(), LOG_LEVEL="warning")
            with service.up() as client:
                _measure(console, service.url, client, redis.Redis.from_url(state.url()), asked)


def _measure(console: Console, url: str, client: Client, state: redis.Redis, asked: argparse.Namespace) -> None:
    lead_s = max(3.0, asked.people / 500)
    crowd = gather(client, url, asked.people, asked.rate, lead_s=lead_s, early=0.6)
    before = _info(state)
    wait(crowd, asked.threads)
    after = _info(state)
    found = check(crowd)
    check_strangers(crowd, client)
    keys: list[Any] = list(state.scan_iter(f"event:{{{crowd.event}}}:ticket:*", count=1_000))
    ticket = statistics.mean(int(state.memory_usage(key) or 0) for key in keys[:1_000])
    place = int(state.memory_usage(f"event:{{{crowd.event}}}:early", samples=0) or 0) / max(1, found["early"])
    requests = sum(map(len, crowd.latencies_ms.values()))
    scripts = after["scripts"] - before["scripts"]
    console.print(
        f"{asked.people:,} people ({found['early']:,.0f} early), {asked.rate:,} a minute: "
        f"{crowd.took_s:.0f} s, {requests:,} requests, {requests / crowd.took_s:,.0f} a second; "
        f"admitted {found['rate']:,.1f} a minute"
    )
    console.print(f"shuffle, in standard deviations: Spearman {found['spearman']:.2f}, chi-squared {found['chi2']:.2f}")
    for kind, times in crowd.latencies_ms.items():
        quantiles = statistics.quantiles(times, n=100)
        console.print(f"{kind}: {len(times):,}, p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms")
    cpu_s = after["cpu"] - before["cpu"]
    console.print(
        f"Redis: {cpu_s:.1f} s of processor time, {100 * cpu_s / crowd.took_s:.0f} % of one; {scripts:,.0f} calls"
    )
    console.print(f"memory: {ticket:.0f} bytes a ticket, and {place:.0f} for the place of an early one")


def _info(state: redis.Redis) -> dict[str, float]:
    cpu: Any = state.info("cpu")
    stats: Any = state.info("stats")
    return {
        "cpu": cpu["used_cpu_user"] + cpu["used_cpu_sys"],
        "scripts": stats["total_commands_processed"],
    }


if __name__ == "__main__":
    main()
