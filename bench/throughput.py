"""How much: accepting holds, carrying them out, and both with the answer read, each beside its yardstick."""

import math
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import jwt
import redis

from bench import load, processes
from bench.results import Row
from bench.servers import Client, Service, bare_falcon, paused, redis_servers, running, wait_until
from reservation.embedded import EmbeddedRedis
from reservation.scripts import source
from reservation_cli.supervisor import Child
from tests.e2e.conftest import below

#: Holds that are queued and carried out in one round.
_QUEUED = 10_000
#: Of those, the holds of one user, as hold.lua has it.
_HOLDS_OF_A_USER = 6
#: The API process that is held against bare Falcon.
_THREADS = 16
#: Worker processes, their threads and their prefetch.
Setting = tuple[int, int, int]
#: Those that stock Dramatiq is tried with: the best is the yardstick.
_STOCK_SETTINGS: list[Setting] = [(2, 4, 64), (3, 2, 64), (2, 2, 64)]
#: Our workers: one process for each core.
_WORKERS, _WORKER_THREADS = 2, 1


def accept_and_work(folder: Path, stock_settings: Setting, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Accepting holds beside bare Falcon, then carrying them out beside stock Dramatiq."""
    accepted, bare, worked, stock = [], [], [], []
    with ExitStack() as stack:
        state, queue = stack.enter_context(redis_servers(folder))
        plain = stack.enter_context(EmbeddedRedis(folder / "stock", durable=False))
        bare_url = stack.enter_context(bare_falcon(folder, _THREADS))
        service = Service(
            folder,
            REDIS_URL=state.url(),
            BROKER_URL=queue.url(),
            API_PROCESSES="1",
            API_THREADS=str(_THREADS),
            WORKER_THREADS=str(_WORKER_THREADS),
        )
        client = stack.enter_context(service.api())
        ours = [service.role("worker") for _ in range(_WORKERS)]
        stack.enter_context(running(*ours, service.role("sweeper")))
        workers = [child.process.pid for child in ours if child.process]
        wait_until(lambda: client.json("GET", "/health/ready")["workers"] == _WORKERS)
        results = stack.enter_context(redis.Redis.from_url(state.url()))
        for number in range(1, rounds + 1):
            say(f"accept and work, round {number} of {rounds}")
            bare.append(load.plain(bare_url, 3))
            (event,) = client.create_events(1, _QUEUED)
            with paused(workers):
                done = load.run(service.url, "accept", [event], _QUEUED, holds=_QUEUED)
                accepted.append(done.accepted / done.seconds)
                # The last messages are on their way.
                wait_until(lambda: _waiting(queue) >= _QUEUED - 100 * _WORKERS)
                time.sleep(0.2)
                began = time.monotonic()
            jobs = f"event:{{{event}}}:jobs"
            wait_until(lambda: not results.zcard(jobs), 0.005)  # noqa: B023 - called at once
            worked.append(_QUEUED / (time.monotonic() - began))
            stock.append(_stock(folder, plain, stock_settings))
    name = "{} processes x {} threads, prefetch {}".format(*stock_settings)
    return [
        Row(
            "accept a hold", "holds/s", accepted, "higher", 0.5, bare, "bare Falcon", "workers stopped, 1 x 16 threads"
        ),
        Row(
            "carry out 10,000 queued holds", "holds/s", worked, "higher", 1.4, stock, "stock Dramatiq", f"stock: {name}"
        ),
    ]


def accept_safely(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Accepting holds with all that makes it safe to be reached by strangers (tokens, idempotency keys and rate
    limits), beside the same without. Nobody carries them out."""
    plain: list[float] = []
    safe: list[float] = []
    key = token_hex(32)
    on = {
        "ENVIRONMENT": "production",
        "AUTH_MODE": "jwt",
        "JWT_ALGORITHM": "HS256",
        "JWT_KEY": key,
        "JWT_AUDIENCE": "seats",
        "JWT_ISSUER": "bench",
        "RATE_LIMIT_ADDRESS": "1000000000/minute",  # all come from here
        "RATE_LIMIT_EVENTS": "1000000000/minute",
    }
    with ExitStack() as stack:
        sides = []
        for name, settings, figures in (("plain", {}, plain), ("safe", on, safe)):
            state, queue = stack.enter_context(redis_servers(folder / name))
            urls = {"REDIS_URL": state.url(), "BROKER_URL": queue.url()}
            limit = {"API_PROCESSES": "1", "MAX_QUEUED_MESSAGES": "1000000"}
            service = Service(folder / name, **urls, **limit, **settings)
            sides.append((service, stack.enter_context(service.api()), figures))
        for number in range(1, rounds + 1):
            say(f"accept, strangers let in, round {number} of {rounds}")
            file = folder / "tokens"
            users = [_token(key) for _ in range(math.ceil(_QUEUED / _HOLDS_OF_A_USER))]
            file.write_text("\n".join(users))
            organiser = _token(key)
            for service, client, figures in sides if number % 2 else sides[::-1]:
                event = client.api.acting_for(token=organiser).create_event("Benchmark", _QUEUED)
                mode = "safe" if figures is safe else "accept"
                done = load.run(service.url, mode, [event.id], _QUEUED, holds=_QUEUED, tokens=file)
                figures.append(done.accepted / done.seconds)
    note = "tokens (HS256), idempotency keys, rate limits"
    return [Row("accept a hold from a stranger", "holds/s", safe, "higher", 0.8, plain, "with none of them", note)]


def accept_in_a_crowd(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Accepting holds while 200 clients drip requests, a byte a second each, and 1,700 are idle, beside the same
    without them. All are one process's."""
    alone: list[float] = []
    crowded: list[float] = []
    with redis_servers(folder) as (state, queue):
        urls = {"REDIS_URL": state.url(), "BROKER_URL": queue.url()}
        service = Service(folder, **urls, API_PROCESSES="1", MAX_QUEUED_MESSAGES="1000000", REQUEST_TIMEOUT="600")
        with service.api() as client:
            for number in range(1, rounds + 1):
                say(f"accept, in a crowd, round {number} of {rounds}")
                for figures in (alone, crowded) if number % 2 else (crowded, alone):
                    (event,) = client.create_events(1, _QUEUED)
                    with _crowd(service.port, 200, 1_700) if figures is crowded else nullcontext():
                        done = load.run(service.url, "accept", [event], _QUEUED, holds=_QUEUED)
                    figures.append(done.accepted / done.seconds)
    note = "200 that drip, 1,700 that are idle"
    return [Row("accept a hold in a crowd", "holds/s", crowded, "higher", None, alone, "alone", note)]


@contextmanager
def _crowd(port: int, dripping: int, idle: int) -> Iterator[None]:
    """Connections that send a byte a second, and some that send nothing."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, dripping + idle + 500), hard))
    everybody = [socket.create_connection(("127.0.0.1", port)) for _ in range(dripping + idle)]
    gone = threading.Event()

    def drip() -> None:
        while not gone.wait(1):
            for connection in everybody[:dripping]:
                connection.send(b"G")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        gone.set()
        thread.join()
        for connection in everybody:
            connection.close()


def _token(key: str) -> str:
    """One of a user whom nobody has seen before."""
    claims = {"sub": str(uuid4()), "aud": "seats", "iss": "bench", "exp": time.time() + 3600, "scope": "events:write"}
    return jwt.encode(claims, key, "HS256")


def _waiting(queue: EmbeddedRedis) -> int:
    with redis.Redis.from_url(queue.url()) as client:
        return int(client.llen("{dramatiq:seat_operations}:seat_operations"))


@contextmanager
def _stock_workers(folder: Path, server: EmbeddedRedis, settings: Setting) -> Iterator[list[int]]:
    processes_, threads, prefetch = settings
    env = {"STOCK_URL": server.url(), "dramatiq_queue_prefetch": str(prefetch)}
    command = [sys.executable, "-m", "dramatiq", "bench.stock_dramatiq"]
    options = ["--processes", str(processes_), "--threads", str(threads), "--skip-logging"]
    child = Child("stock", [*command, *options], folder / "stock.log", env)
    with running(child):
        if child.process is None:
            raise AssertionError("a child that was started has a process")
        root = child.process.pid
        # A process is ready once its consumers have said that they live.
        with redis.Redis.from_url(server.url()) as client:
            wait_until(lambda: client.zcard("dramatiq:__heartbeats__") >= processes_)
        yield [root, *below(root)]


def _stock(folder: Path, server: EmbeddedRedis, settings: Setting) -> float:
    """Messages a second that stock Dramatiq works off a filled queue, with results."""
    with redis.Redis.from_url(server.url()) as client, redis.Redis.from_url(server.url(1)) as results:
        client.flushall()
        with _stock_workers(folder, server, settings) as pids, paused(pids):
            env = {**os.environ, "STOCK_URL": server.url()}
            subprocess.run([sys.executable, "-m", "bench.stock_dramatiq", str(_QUEUED)], env=env, check=True)
            began = time.monotonic()
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            wait_until(lambda: results.dbsize() >= _QUEUED, 0.005)
            return _QUEUED / (time.monotonic() - began)


def best_stock(folder: Path, say: Callable[[str], None]) -> Setting:
    """The setting with which stock Dramatiq does most."""
    found = {}
    with EmbeddedRedis(folder, durable=False) as server:
        for settings in _STOCK_SETTINGS:
            say("stock Dramatiq with {} processes x {} threads, prefetch {}".format(*settings))
            found[settings] = _stock(folder, server, settings)
    return max(found, key=lambda settings: found[settings])


def end_to_end(
    service: Service,
    client: Client,
    stock_settings: Setting,
    rounds: int,
    seconds: float,
    folder: Path,
    say: Callable[[str], None],
) -> tuple[list[Row], dict[str, float]]:
    """Accept, work and status read over HTTP, in events of 100 and of 10,000 seats, each round beside stock
    Dramatiq's drain. Also what a hold costs each part in microseconds of processor time.

    Arguments:
        service: running, as `reservation up` runs it.
        folder: for the yardstick's server.
    """
    small: list[float] = []
    large: list[float] = []
    beside: list[float] = []
    reads, costs = [], []
    say("end to end: warming up")
    load.run(service.url, "follow", client.create_events(1, 10_000), 10_000, seconds=3)
    with EmbeddedRedis(folder, durable=False) as plain:
        for number in range(1, rounds + 1):
            say(f"stock Dramatiq, round {number} of {rounds}")
            beside.append(_stock(folder, plain, stock_settings))
            for seats, figures in ((100, small), (10_000, large)):
                say(f"end to end with {seats:,} seats, round {number} of {rounds}")
                pids = processes.roles(os.getpid())
                before = {role: sum(map(processes.cpu_s, found)) for role, found in pids.items()}
                wrk = processes.children_cpu_s()
                done = _follow(service, client, seats, seconds)
                figures.append(done.ended / done.seconds)
                reads.append(done.reads / done.ended)
                used = {role: sum(map(processes.cpu_s, found)) - before[role] for role, found in pids.items()}
                used["wrk"] = processes.children_cpu_s() - wrk
                costs.append({role: each / done.ended * 1e6 for role, each in used.items()})
    note = f"32 connections, {statistics.median(reads):.2f} status reads a hold"
    rows = [
        Row(
            "end to end, events of 100 seats", "holds/s", small, "higher", 0.35, beside, "stock Dramatiq's drain", note
        ),
        Row("the same at 10,000 seats", "holds/s", large, "higher", 0.95, small, "at 100 seats"),
    ]
    return rows, {role: statistics.median(cost[role] for cost in costs) for role in costs[0]}


def with_many_events(
    service: Service,
    client: Client,
    loaded: Service,
    other: Client,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> list[Row]:
    """The same in a service that has a hundred events of 10,000 seats, in turn with one that has not."""
    full: list[float] = []
    empty: list[float] = []
    for number in range(1, 101):
        say(f"event {number} of 100 with 10,000 seats")
        other.create_events(1, 10_000)
    for number in range(1, rounds + 1):
        say(f"end to end with 100 events of 10,000 loaded, round {number} of {rounds}")
        full.append(capacity(loaded, other, seconds))
        empty.append(capacity(service, client, seconds))
    name = "the same with 100 events of 10,000 loaded"
    return [Row(name, "holds/s", full, "higher", 0.95, empty, "beside a service without")]


def capacity(service: Service, client: Client, seconds: float) -> float:
    """Holds a second in events of 10,000 seats. Raises LoadError."""
    done = _follow(service, client, 10_000, seconds)
    return done.ended / done.seconds


def _follow(service: Service, client: Client, seats: int, seconds: float) -> load.Load:
    """Holds made, and followed to their end, as fast as the service does it. Raises LoadError."""
    events = client.create_events(max(1, round(seconds * 4_000) // seats), seats)
    done = load.run(service.url, "follow", events, seats, seconds=seconds)
    if done.held != done.ended:
        raise load.LoadError(f"{done.ended - done.held} free seats were not held")
    return done


def raw_script(folder: Path) -> list[Row]:
    """The hold script by itself through redis-benchmark, with what it needs prepared in the same call."""
    prepare = """
local n = string.match(ARGV[1], '%d+$')
local seat, user, job = 'k3v9x2m7qa-' .. n, '0b9f5a52-7c1e-4f0b-9d3e-' .. n, 'k3v9x2m7qa-' .. n
local KEYS = {'event:{k3v9x2m7qa}', 'event:{k3v9x2m7qa}:available', 'event:{k3v9x2m7qa}:holds',
  'event:{k3v9x2m7qa}:changes', 'event:{k3v9x2m7qa}:holder:' .. user, 'job:{k3v9x2m7qa}-' .. n,
  'event:{k3v9x2m7qa}:jobs', 'event:{k3v9x2m7qa}:failures',
  'seat:{k3v9x2m7qa}-' .. n, 'seat:{k3v9x2m7qa}-' .. n .. ':lock'}
local ARGV = {86400000, '', job, seat, user, 'actor', 0, 300000, 60000, 6}
redis.call('HSET', KEYS[9], 'id', seat, 'eventId', 'k3v9x2m7qa', 'UUID', '', 'status', 'Available')
redis.call('HSET', KEYS[6], 'status', 'waiting', 'seatId', seat, 'user', user, 'createdAt', 1, 'deadline', 9e15)
redis.call('HDEL', KEYS[6], 'code')
redis.call('DEL', KEYS[5])
"""
    rows = []
    for title, durable in (("always", True), ("never", False)):
        with EmbeddedRedis(folder / f"script-{title}", durable=durable) as server:
            with redis.Redis.from_url(server.url()) as client:
                sha = client.script_load(prepare + source("hold"))
            socket = server.url().removeprefix("unix://").partition("?")[0]
            command = ["redis-benchmark", "-s", socket, "-c", "50", "-n", "40000", "-r", "10000", "--csv"]
            done = subprocess.run(
                [*command, "EVALSHA", str(sha), "0", "__rand_int__"], capture_output=True, text=True, check=True
            )
            found = re.search(r'^"EVALSHA[^\n]*?","([\d.]+)"', done.stdout, re.MULTILINE)
            if not found:
                raise load.LoadError(f"redis-benchmark said: {done.stdout}")
            name = f"raw hold script, appended {'before each answer' if durable else 'to no file'}"
            rows.append(Row(name, "holds/s", [float(found[1])], "higher", note="redis-benchmark, 50 connections"))
    return rows
