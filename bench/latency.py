"""How long: an idle service, a loaded one, lists and creations, and when ten thousand holds end at once."""

import os
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from bench import load, processes
from bench.results import Row, percentile
from bench.servers import Client, Service, paused, wait_until
from bench.throughput import capacity

#: Pause between two holds of an idle service, and between two looks at a job, seconds.
_PAUSE_S, _POLL_S = 0.05, 0.001


def idle(client: Client, holds: int, say: Callable[[str], None]) -> list[Row]:
    """From a hold request to its result as a client sees it that looks at once and then every millisecond; and what
    one read of a job that has ended takes after the same pause, which says how awake the machine is."""
    say("idle: accept to result")
    (event,) = client.create_events(1, max(10, holds))
    took, single, reads = [], [], 0
    for number in range(1, holds + 1):
        time.sleep(_PAUSE_S)
        began = time.perf_counter()
        hold = {"id": f"{event}-{number}", "UUID": str(uuid4())}
        status = client.json("POST", "/seats/hold", hold)["statusEndpoint"]
        while True:
            reads += 1
            if client.json("GET", status)["status"] == "completed":
                break
            time.sleep(_POLL_S)
        took.append((time.perf_counter() - began) * 1000)
        if not number % 4:
            time.sleep(_PAUSE_S)
            single.append(_timed(lambda: client.json("GET", status))[0])  # noqa: B023
    note = f"{holds} holds one after another, {reads / holds:.2f} status reads each"
    return [
        Row("idle, accept to result, p50", "ms", [percentile(took, 50)], "lower", 4, note=note),
        Row("idle, accept to result, p99", "ms", [percentile(took, 99)], "lower", 10),
        Row("idle, one read of a job that has ended, p50", "ms", [percentile(single, 50)], "lower"),
    ]


def idle_cost(seconds: float, say: Callable[[str], None]) -> list[Row]:
    """What a service costs that has nothing to do, and what memory its processes have in use."""
    say("idle: processor time")
    pids = processes.roles(os.getpid())
    before = {pid: processes.cpu_s(pid) for found in pids.values() for pid in found}
    time.sleep(seconds)
    rows = []
    for role, most in (("worker", 1.0), ("api", None), ("sweeper", None)):
        share = [(processes.cpu_s(pid) - before[pid]) / seconds * 100 for pid in pids[role]]
        rows.append(Row(f"idle {role} process", "% of a core", [max(share)], "lower", most))
    for role, most in (("api", 80.0), ("worker", 70.0), ("sweeper", None)):
        resident = [processes.resident_mb(pid) for pid in pids[role]]
        rows.append(Row(f"resident memory, {role} process", "MB", [max(resident)], "lower", most))
    return rows


def open_loop(
    service: Service,
    client: Client,
    state: Any,
    parts: int,
    seconds: float,
    say: Callable[[str], None],
    while_: str = "",
    *,
    target_ms: float | None = None,
) -> tuple[list[Row], list[float]]:
    """Holds that are due at 70 % of the capacity, whatever the service does, each timed from when it was due.

    The state's file is rewritten before each part, so that it is not in some of them, by chance; and, where there is
    a target, in a part of its own.

    Arguments:
        parts: how often; the capacity is measured before each, because that of a shared machine differs.
        seconds: of each.
        while_: what else goes on, for the names of the rows.
        target_ms: of the 99th percentile.
    """
    rates, seen = [], []

    def part(name: str, meanwhile: Callable[[], None] = lambda: None) -> list[float]:
        _rewrite(state)
        rates.append(0.7 * capacity(service, client, 3))
        say(f"open loop, {name}: {rates[-1]:.0f} holds a second for {seconds:.0f} s")
        events = client.create_events(round(rates[-1] * (seconds + 1)) // 10_000 + 1, 10_000)
        timer = threading.Timer(seconds / 3, meanwhile)
        timer.start()
        done = load.run(service.url, "paced", events, 10_000, rate=rates[-1], seconds=seconds)
        timer.join()
        seen.append(done.ended / done.seconds)
        return done.latencies_ms

    name = f"open loop at 70 % {while_}".rstrip() + ", accept to result"
    times = [part(f"part {number} of {parts}") for number in range(1, parts + 1)]
    together = [ms for one in times for ms in one]
    note = (
        f"{parts} x {seconds:.0f} s; {min(rates):.0f} to {max(rates):.0f} holds/s due, {statistics.mean(seen):.0f} seen"
    )
    rows = [
        Row(f"{name}, p50", "ms", [percentile(together, 50)], "lower", note=note),
        Row(f"{name}, p99", "ms", [percentile(together, 99)], "lower", target_ms, note="of all parts together"),
        Row(f"{name}, p99 of each part", "ms", [percentile(one, 99) for one in times], "lower"),
    ]
    if target_ms is not None:
        took: list[float] = []
        rewritten = part("and the state's file is rewritten", lambda: took.append(_rewrite(state)))
        mixed = [ms for one in times[1:] for ms in one] + rewritten
        note = f"one part of {parts} with one in it, of {took[0]:.1f} s and {state.dbsize():,} keys"
        name += ", p99, with a rewrite of the state's file"
        rows.append(Row(name, "ms", [percentile(mixed, 99)], "lower", target_ms, note=note))
    return rows, [percentile(together, percent) for percent in range(1, 100)]


def _rewrite(state: Any) -> float:
    """Has the file that the state is appended to rewritten; returns the seconds it took."""

    def done() -> bool:
        return not state.info("persistence")["aof_rewrite_in_progress"]

    wait_until(done, 0.1)  # one that began by itself
    began = time.monotonic()
    state.bgrewriteaof()
    wait_until(done, 0.1)
    return time.monotonic() - began


def reads(client: Client, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Lists of 10,000 free seats: changed since they were last read, unchanged, and a page."""
    say("lists")
    (event,) = client.create_events(1, 10_000)
    path = f"/seats/list/{event}"
    changed, unchanged, same, page = [], [], [], []
    for number in range(1, rounds + 1):
        client.api.acting_for(uuid4()).hold(f"{event}-{number}").result()
        took, answer = _timed(lambda: client.send("GET", path))
        changed.append(took)
        tag = answer[2]["etag"]
        unchanged.append(_timed(lambda: client.send("GET", path, **{"If-None-Match": tag}))[0])  # noqa: B023
        same.append(_timed(lambda: client.send("GET", path))[0])
        page.append(_timed(lambda: client.send("GET", f"{path}?limit=100&cursor=5000"))[0])
    note = f"median of {rounds}"
    return [
        Row("list 10,000 free seats, changed", "ms", [statistics.median(changed)], "lower", 20, note=note),
        Row("list them, unchanged, with its ETag", "ms", [statistics.median(unchanged)], "lower", 3, note=note),
        Row("list them, unchanged, without", "ms", [statistics.median(same)], "lower", note=note),
        Row("a page of 100 of them", "ms", [statistics.median(page)], "lower", 3, note=note),
    ]


def creation(client: Client, state: Any, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Creating 10,000 seats, and how long another client's command waits meanwhile."""
    say("creation")
    waits: list[float] = []
    stopping = threading.Event()

    def ping() -> None:
        while not stopping.is_set():
            waits.append(_timed(state.ping)[0])
            time.sleep(0.0005)

    # A rewrite of the file that is appended to would fall into one run and not into the next.
    rewrite = state.config_get("auto-aof-rewrite-percentage")
    state.config_set("auto-aof-rewrite-percentage", 0)
    pinging = threading.Thread(target=ping)
    pinging.start()
    took = [_timed(lambda: client.create_events(1, 10_000))[0] for _ in range(rounds)]
    stopping.set()
    pinging.join()
    state.config_set("auto-aof-rewrite-percentage", rewrite["auto-aof-rewrite-percentage"])
    return [
        Row("create 10,000 seats", "ms", took, "lower", 150),
        Row("longest wait of another command meanwhile", "ms", [max(waits)], "lower", 10, note="PING each half ms"),
    ]


def memory(service: Service, client: Client, state: Any, say: Callable[[str], None]) -> list[Row]:
    """What a seat takes of the state server's memory, free and on hold."""
    say("memory of a seat")

    def used() -> int:
        return int(state.info("memory")["used_memory_dataset"])

    empty = used()
    events = client.create_events(1, 10_000)
    free = used()
    done = load.run(service.url, "follow", events, 10_000, holds=10_000)
    held = used()
    jobs = sum(int(state.memory_usage(key) or 0) for key in state.scan_iter(f"job:{{{events[0]}}}*", 1_000))
    stream = int(state.memory_usage(f"event:{{{events[0]}}}:changes", samples=0) or 0)
    note = "each by another user, its lock, its holder's set and its change with it"
    return [
        Row("memory, a free seat", "bytes", [(free - empty) / 10_000], "lower", 420),
        Row("memory, a seat on hold", "bytes", [(held - empty - jobs) / done.held], "lower", 950, note=note),
        Row("memory, the hold's job, for 5 minutes", "bytes", [jobs / done.held], "lower"),
        Row("memory, an entry of the change stream, for a day", "bytes", [stream / done.held], "lower"),
    ]


def storm(service: Service, client: Client, state: Any, say: Callable[[str], None]) -> tuple[list[Row], dict[str, Any]]:
    """Ten thousand holds that end together, and how long another buyer's hold takes meanwhile."""
    say("expiry storm")
    storming, quiet = client.create_events(2, 10_000)
    workers = processes.roles(os.getpid())["worker"]
    with paused(workers):  # so that they all begin, and end, within the time that a drain takes
        load.run(service.url, "accept", [storming], 10_000, holds=10_000)
    holds = f"event:{{{storming}}}:holds"
    wait_until(lambda: state.zcard(holds) == 10_000, 0.05)
    ends = [score for _, score in state.zrange(holds, 0, -1, withscores=True)]
    first, last = min(ends) / 1000, max(ends) / 1000
    latencies: dict[str, list[float]] = {"quiet": [], "storm": []}
    number = 0
    while (now := time.time()) < last + 1.5:
        number += 1
        began = time.perf_counter()
        job = client.json("POST", "/seats/hold", {"id": f"{quiet}-{number}", "UUID": str(uuid4())})
        while client.json("GET", job["statusEndpoint"])["status"] != "completed":
            time.sleep(_POLL_S)
        when = "storm" if first <= now <= last + 1 else "quiet"
        latencies[when].append((time.perf_counter() - began) * 1000)
        time.sleep(0.005)
    wait_until(lambda: not state.zcard(holds), 0.05)
    due = dict(state.zrange(f"event:{{{storming}}}:available", 0, -1, withscores=True))
    news = [
        int(entry_id.partition("-")[0]) / 1000
        for entry_id, entry in state.xrange(f"event:{{{storming}}}:changes")
        if entry["cause"] == "expired"
    ]
    if len(news) != 10_000 or len(due) != 10_000:
        raise load.LoadError(f"{len(news)} seats of 10,000 were said to have expired")
    spread = last - first
    calm, busy = (percentile(latencies[when], 99) for when in ("quiet", "storm"))
    rows = [
        Row(
            "10,000 holds end: last news after the last end",
            "s",
            [max(news) - last],
            "lower",
            1,
            note=f"they ended within {spread:.1f} s",
        ),
        Row("hold p99 meanwhile", "ms", [busy], "lower", 3, [calm], "quiet"),
    ]
    return rows, {
        "due": [end / 1000 - first for end in sorted(ends)[::50]],
        "news": [t - first for t in sorted(news)[::50]],
    }


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds that a call took, and its result."""
    began = time.perf_counter()
    result = call()
    return (time.perf_counter() - began) * 1000, result
