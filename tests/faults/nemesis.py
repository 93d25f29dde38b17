"""What goes wrong: faults that are injected into a running service, and schedules of them from a seed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Literal

import redis

from reservation.embedded import EmbeddedRedis
from tests.faults.durability import SyncedServer
from tests.faults.proxy import Proxy
from tests.faults.stack import Role, Stack
from tests.servers import hanging, kill

Target = Literal["processes", "state", "broker", "receiver"]
#: In force from entering until leaving. What it yields tells, then, how often it hit something.
Injection = Callable[[Stack, Random], AbstractContextManager[Callable[[], int]]]


@dataclass(frozen=True)
class Fault:
    """Something that can break.

    Attributes:
        name: for people.
        target: what it breaks; two faults never break the same thing at the same time.
        lasts_s: for how long, seconds, at least and at most.
        inject: breaks it, and mends it.
        restarts_state: whether the server of the seats ends: what it had answered has to be there again.
        hides_state: whether nobody reaches that server meanwhile.
    """

    name: str
    target: Target
    lasts_s: tuple[float, float]
    inject: Injection
    restarts_state: bool = False
    hides_state: bool = False


def _killed(role: Role) -> Injection:
    @contextmanager
    def inject(stack: Stack, choices: Random) -> Iterator[Callable[[], int]]:
        stack.kill(role, choices)
        yield lambda: 1

    return inject


@contextmanager
def _worker_paused(stack: Stack, choices: Random) -> Iterator[Callable[[], int]]:
    pid = choices.choice(stack.pids("worker"))
    os.kill(pid, signal.SIGSTOP)
    yield lambda: 1
    os.kill(pid, signal.SIGCONT)


def _server(name: Literal["state", "broker"], stack: Stack) -> EmbeddedRedis:
    return stack.state if name == "state" else stack.broker


def _kill_server(server: EmbeddedRedis) -> None:
    if isinstance(server, SyncedServer):
        server.kill()
    else:
        kill(server)


def _server_killed(name: Literal["state", "broker"]) -> Injection:
    @contextmanager
    def inject(stack: Stack, _: Random) -> Iterator[Callable[[], int]]:
        _kill_server(_server(name, stack))
        yield lambda: 1
        _server(name, stack).start()

    return inject


@contextmanager
def _host_failed(stack: Stack, _: Random) -> Iterator[Callable[[], int]]:
    hits = 0
    if isinstance(stack.state, SyncedServer):
        stack.state.kill_and_lose_unsynced()
        hits = 1
    yield lambda: hits
    if hits:
        stack.state.start()


def _server_hangs(name: Literal["state", "broker"]) -> Injection:
    @contextmanager
    def inject(stack: Stack, _: Random) -> Iterator[Callable[[], int]]:
        with hanging(_server(name, stack)):
            yield lambda: 1

    return inject


def _network(name: Literal["state", "broker"], do: Callable[[Proxy, Random], object], counter: str) -> Injection:
    @contextmanager
    def inject(stack: Stack, choices: Random) -> Iterator[Callable[[], int]]:
        proxy = stack.state_proxy if name == "state" else stack.broker_proxy
        before = getattr(proxy.counters, counter)
        do(proxy, choices)
        yield lambda: getattr(proxy.counters, counter) - before
        proxy.heal()

    return inject


@contextmanager
def _scripts_forgotten(stack: Stack, _: Random) -> Iterator[Callable[[], int]]:
    for server in (stack.state, stack.broker):
        with redis.Redis.from_url(server.url()) as client:
            client.script_flush()
    yield lambda: 1


@contextmanager
def _queue_emptied(stack: Stack, _: Random) -> Iterator[Callable[[], int]]:
    with redis.Redis.from_url(stack.broker.url()) as client:
        # While nobody can fetch, so that something waits in it.
        stack.broker_proxy.delay(200)
        time.sleep(0.3)
        client.flushall()
    yield lambda: 1
    stack.broker_proxy.heal()


@contextmanager
def _receiver_fails(stack: Stack, choices: Random) -> Iterator[Callable[[], int]]:
    before, serve = len(stack.receiver.posts), stack.receiver.answer
    stack.receiver.answer = lambda _: choices.choice((500, None))
    yield lambda: len(stack.receiver.posts) - before
    stack.receiver.answer = serve


def _of_server(target: Literal["state", "broker"], name: str) -> list[Fault]:
    """What can happen to either server, or to the network before it."""

    def slow(proxy: Proxy, choices: Random) -> None:
        proxy.delay(choices.uniform(20, 250))

    def lose(proxy: Proxy, choices: Random) -> None:
        proxy.drop_reply(choices.randint(1, 8))

    def lose_silently(proxy: Proxy, choices: Random) -> None:
        proxy.drop_reply(choices.randint(1, 8), silently=True)

    def network(
        what: str,
        lasts_s: tuple[float, float],
        do: Callable[[Proxy, Random], object],
        counter: str,
        *,
        hides_state: bool = False,
    ) -> Fault:
        return Fault(f"{name}: {what}", target, lasts_s, _network(target, do, counter), hides_state=hides_state)

    state = target == "state"
    return [
        Fault(f"{name}: killed, restarted", target, (0.2, 1.5), _server_killed(target), state, state),
        Fault(f"{name}: hangs", target, (1.0, 4.0), _server_hangs(target), hides_state=state),
        network("slow", (1.0, 3.0), slow, "bytes_delayed"),
        network("connections cut", (0.1, 0.5), lambda proxy, _: proxy.cut(), "connections_cut"),
        network(
            "connections refused", (0.5, 3.0), lambda proxy, _: proxy.refuse(), "connections_refused", hides_state=state
        ),
        network("replies lost, connection cut", (0.3, 0.8), lose, "replies_dropped"),
        network("replies lost in silence", (0.5, 2.5), lose_silently, "replies_dropped"),
        network("a black hole", (1.0, 4.0), lambda proxy, _: proxy.black_hole(), "bytes_swallowed", hides_state=state),
    ]


#: The one that needs strace.
HOST_FAILED = Fault("state: host fails, unsynced tail lost", "state", (0.2, 1.0), _host_failed, True, True)
FAULTS = {
    fault.name: fault
    for fault in (
        Fault("worker: killed", "processes", (0.3, 1.5), _killed("worker")),
        Fault("worker: paused beyond its heartbeat", "processes", (6.0, 7.0), _worker_paused),
        Fault("API process: killed", "processes", (0.3, 1.5), _killed("api")),
        Fault("sweeper: killed", "processes", (0.3, 1.5), _killed("sweeper")),
        Fault("sender of webhooks: killed", "processes", (0.3, 1.5), _killed("webhooks")),
        Fault("receiver of webhooks: fails", "receiver", (0.3, 1.0), _receiver_fails),
        *_of_server("state", "state"),
        HOST_FAILED,
        *_of_server("broker", "queue"),
        Fault("queue: loses everything", "broker", (0.1, 0.3), _queue_emptied),
        Fault("both: scripts forgotten", "state", (0.1, 0.2), _scripts_forgotten),
    )
}


@dataclass(frozen=True)
class Strike:
    """A fault at a time.

    Attributes:
        at_s: seconds after the start.
        lasts_s: for how long.
        seed: of its own choices.
    """

    fault: Fault
    at_s: float
    lasts_s: float
    seed: int


def schedule(seed: int, seconds: float, faults: list[Fault]) -> list[Strike]:
    """Strikes for so many seconds, the same for the same seed. One after the other for the most part; now and
    then one begins while another lasts.

    Arguments:
        seconds: time until the last one has ended.
        faults: what to choose from.
    """
    choices = Random(seed)  # noqa: S311 - guesses nobody's secret
    strikes: list[Strike] = []
    at_s = choices.uniform(0.2, 1.0)
    while True:
        fault = choices.choice(faults)
        lasts_s = choices.uniform(*fault.lasts_s)
        if at_s + lasts_s > seconds:
            return strikes
        strikes.append(Strike(fault, at_s, lasts_s, choices.randrange(1 << 32)))
        at_s += choices.uniform(0.1, lasts_s) if choices.random() < 0.3 else lasts_s + choices.uniform(0.2, 2.0)
