"""Runs the benchmark: starts servers of its own, measures each case beside its yardstick, in turn, prints a
table, and writes bench/results/; a full run also puts table and charts into docs/.

    python -m bench [--full] [--only CASE …] [--no-docs]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from rich.console import Console

from bench import charts, latency, load, results, throughput
from bench.results import Report
from bench.servers import Client, Service
from reservation import embedded

_CASES = ("throughput", "safety", "latency", "storm", "script")
#: Lengths of holds, seconds: so long that none ends while others are made, and so short that as many do.
_LONG_S, _SHORT_S = "900", "5"


def main() -> int:
    """Measures; returns the exit status: 1 if a target is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more and longer rounds, and a hundred large events")
    parser.add_argument("--only", choices=_CASES, nargs="+", default=_CASES, help="measure only some; writes nothing")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/ as they are after a full run")
    options = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    report = Report("full" if options.full else "short")
    began = time.monotonic()
    with console.status("") as status:

        def say(text: str) -> None:
            status.update(f"{time.monotonic() - began:3.0f} s  {text}")
            if not console.is_terminal:
                console.print(f"{time.monotonic() - began:3.0f} s  {text}")

        with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
            _measure(report, Path(folder), options.only, options.full, say)
    console.print(results.table(report.rows))
    if tuple(options.only) == _CASES:
        console.print(f"wrote {report.save()}")
        if options.full and not options.no_docs:
            saved = results.load(report.mode)
            results.write_docs(saved)
            charts.draw(saved)
    console.print(f"{time.monotonic() - began:.0f} s")
    return int(any(row.met is False for row in report.rows))


def _measure(report: Report, folder: Path, cases: tuple[str, ...], full: bool, say: Callable[[str], None]) -> None:
    add = report.rows.extend
    if "throughput" in cases:
        (folder / "a").mkdir()
        stock_settings = throughput.best_stock(folder / "a", say)
        add(throughput.accept_and_work(folder / "a", stock_settings, 5 if full else 3, say))
    if "safety" in cases:
        for part in ("h", "h/plain", "h/safe", "i"):
            (folder / part).mkdir()
        add(throughput.accept_safely(folder / "h", 11 if full else 7, say))
        add(throughput.accept_in_a_crowd(folder / "i", 5 if full else 3, say))
    if "latency" in cases:
        with _service(folder / "b") as (_, client, state):
            add(latency.idle(client, 500 if full else 200, say))
            add(latency.idle_cost(30 if full else 5, say))
            add(latency.reads(client, 30 if full else 10, say))
            add(latency.creation(client, state, 10 if full else 5, say))
    parts, seconds = (6, 10) if full else (2, 5)
    if {"throughput", "latency"} & set(cases):
        with _service(folder / "e", LOCK_EXPIRATION_TIME=_LONG_S) as (service, client, state):
            if "latency" in cases:
                add(latency.memory(service, client, state, say))
            if "throughput" in cases:
                rows, report.series["cpu_us_per_hold"] = throughput.end_to_end(
                    service, client, stock_settings, 5 if full else 3, 8 if full else 4, folder / "e" / "stock", say
                )
                add(rows)
            if "latency" in cases:
                rows, report.series["open_loop_ms"] = latency.open_loop(
                    service, client, state, parts, seconds, say, target_ms=60
                )
                add(rows)
            if full and "throughput" in cases:
                with _service(folder / "f", LOCK_EXPIRATION_TIME=_LONG_S) as (loaded, other, _):
                    add(throughput.with_many_events(service, client, loaded, other, 4, 8, say))
    if "latency" in cases:
        with _service(folder / "g", LOCK_EXPIRATION_TIME=_SHORT_S) as (service, client, state):
            rows, _ = latency.open_loop(service, client, state, parts // 2, seconds, say, "while as many holds end")
            add(rows)
    if "storm" in cases:
        with _service(folder / "c", LOCK_EXPIRATION_TIME="10", WORKER_PROCESSES="2") as (service, client, state):
            rows, report.series["storm"] = latency.storm(service, client, state, say)
            add(rows)
    if "script" in cases:
        (folder / "d").mkdir()
        say("the raw hold script")
        add(throughput.raw_script(folder / "d"))


@contextmanager
def _service(folder: Path, **settings: str) -> Iterator[tuple[Service, Client, Any]]:
    """A service of its own, with a client of it and of its Redis."""
    folder.mkdir()
    service = Service(folder, **settings)
    with (
        service.up() as client,
        redis.Redis.from_url(embedded.url(folder / "var" / "redis"), decode_responses=True) as state,
    ):
        yield service, client, state


if __name__ == "__main__":
    try:
        sys.exit(main())
    except load.LoadError as error:
        sys.exit(f"the service answered what it should not: {error}")
