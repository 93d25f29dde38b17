"""A cluster loses a primary under load: what clients were told, against what the cluster still knows.

Redis Cluster replicates after it has answered. What a primary had answered and not yet passed on when it was killed is
lost with it, and a seat that was reserved by it is free again for others. That is counted here, and nothing else may
go wrong.
"""

import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx

from reservation import keys
from reservation.ids import SeatId
from reservation.settings import Settings
from reservation.store import Store
from tests.cluster import Node, RedisCluster, cluster, slot
from tests.e2e.conftest import Service
from tests.waiting import wait_for

#: Events, and seats of each: so few that a seat which is free again is soon asked for.
_EVENTS, _SEATS = 60, 40
_BUYERS = 8
#: How long a job may take to end, seconds: its deadline, and a little.
_ENDS_S = 25.0
_DEADLINE_S = 15


@dataclass
class Seen:
    """What clients saw.

    Attributes:
        told: who was told that a seat is theirs, by seat.
        jobs: jobs that were accepted.
        unknown: of these, those that the service no longer knew when it was asked.
        endless: of these, those that had not ended long after their deadline.
        refused: answers of 500 and more, and calls without one, by what they were.
        served: when a hold succeeded, by event (time.monotonic).
    """

    told: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    jobs: int = 0
    unknown: list[str] = field(default_factory=list)
    endless: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    served: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Loss:
    """What a failover took.

    Attributes:
        events_lost: events that were on the node that was killed, of all.
        away_s: how long no hold of such an event succeeded, seconds.
        elsewhere_s: the longest that no hold succeeded of an event on another node, seconds.
        told: seats that somebody was told are theirs.
        forgotten: of these, those that are not theirs any more.
        told_twice: seats that two were told are theirs. The first had been forgotten before.
        sold_twice: reservations of a seat that was reserved already, in what the cluster still knows.
        jobs: accepted jobs, and of these the unknown and the endless ones.
        refused: answers of 500 and more, and calls without one.
    """

    events_lost: str
    away_s: float
    elsewhere_s: float
    told: int
    forgotten: int
    told_twice: int
    sold_twice: list[str]
    jobs: int
    unknown: int
    endless: list[str]
    refused: dict[str, int]


def run(
    before_s: float, after_s: float, seed: int = 1, lag_s: float = 0, say: Callable[[str], object] = lambda _: None
) -> Loss:
    """Sells seats on three primaries with a replica each; kills a primary; starts it again as the replica of the one
    that has taken over; and says what came of it.

    Arguments:
        before_s, after_s: how long clients buy before and after.
        seed: of the clients' choices.
        lag_s: for how long the replica has received nothing when its primary is killed. A process that is killed
            alone loses nothing: the kernel still delivers what it had sent.
        say: is told what happens.
    """
    with cluster(replicas=1) as nodes, tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        say("six nodes are up")
        rules = {"HOLD_JOB_DEADLINE": str(_DEADLINE_S), "RESERVE_JOB_DEADLINE": str(_DEADLINE_S)}
        service = Service(
            Path(folder),
            REDIS_URL=nodes.url(),
            QUEUE_SHARDS="4",
            API_PROCESSES="1",
            WORKER_PROCESSES="2",
            LOCK_EXPIRATION_TIME="3",
            **rules,
        )
        try:
            return _sell(nodes, service, before_s, after_s, seed, lag_s, say)
        finally:
            service.close()


def _sell(
    nodes: RedisCluster,
    service: Service,
    before_s: float,
    after_s: float,
    seed: int,
    lag_s: float,
    say: Callable[[str], object],
) -> Loss:
    events = [service.create(_SEATS) for _ in range(_EVENTS)]
    seen, stop = Seen(), threading.Event()
    base = str(service.http.base_url)
    buyers = [
        threading.Thread(target=_buy, args=(base, events[number::_BUYERS], seen, stop, Random(f"{seed}-{number}")))  # noqa: S311 - decides whims
        for number in range(_BUYERS)
    ]
    for buyer in buyers:
        buyer.start()
    time.sleep(before_s)
    victim = max(nodes.primaries(), key=lambda node: sum(nodes.owner(slot(event)) is node for event in events))
    lost = [event for event in events if nodes.owner(slot(event)) is victim]
    (replica,) = [node for node in nodes.nodes if node.client.info("replication").get("master_port") == victim.port]
    if lag_s:
        replica.pause()
        victim.client.client_kill_filter(_type="replica")
        time.sleep(lag_s)
    killed = time.monotonic()
    victim.kill()
    if lag_s:
        replica.go_on()
    say(f"killed a primary with {len(lost)} of {_EVENTS} events")
    wait_for(lambda: victim not in nodes.primaries(), 60)
    say(f"a replica has its slots, {time.monotonic() - killed:.1f} s later")
    wait_for(lambda: any(at > killed for event in lost for at in seen.served[event]), 60)
    victim.start()
    wait_for(lambda: _is_replica(victim), 60)
    say("it is back, as a replica")
    time.sleep(after_s)
    stop.set()
    for buyer in buyers:
        buyer.join()
    settings = Settings(_env_file=None, redis_url=nodes.url())  # type: ignore[call-arg]  # pydantic-settings takes more than mypy sees
    store = Store.connect(settings, connections=2)
    try:
        return _compare(store, events, lost, killed, seen)
    finally:
        store.servers.close()


def _is_replica(node: Node) -> bool:
    info = node.client.info("replication")
    return bool(info["role"] == "slave" and info["master_link_status"] == "up")


def _buy(base: str, events: list[str], seen: Seen, stop: threading.Event, choices: Random) -> None:
    """A buyer after the other holds a seat and reserves it."""
    with httpx.Client(base_url=base, timeout=5) as http:
        while not stop.is_set():
            user, seat = str(uuid4()), f"{choices.choice(events)}-{choices.randint(1, _SEATS)}"
            held = _carry_out(http, "hold", seat, user, seen)
            if held:
                with seen.lock:
                    seen.served[seat.partition("-")[0]].append(time.monotonic())
            if held and choices.random() < 0.8 and _carry_out(http, "reserve", seat, user, seen):
                with seen.lock:
                    seen.told[seat].append(user)


def _carry_out(http: httpx.Client, action: str, seat: str, user: str, seen: Seen) -> bool:
    """Whether a hold or a reservation succeeded, as far as its client was told."""
    answer = _ask(seen, lambda: http.post(f"/seats/{action}", json={"id": seat, "UUID": user}))
    if answer is None or answer.status_code != 202:
        return False
    with seen.lock:
        seen.jobs += 1
    until = time.monotonic() + _ENDS_S
    path = answer.json()["statusEndpoint"]
    while time.monotonic() < until:
        read = _ask(seen, lambda: http.get(path, headers={"X-User-UUID": user}))
        if read is not None and read.status_code == 404:
            with seen.lock:
                seen.unknown.append(path)
            return False
        if read is not None and read.status_code == 200 and (job := read.json())["status"] in ("completed", "failed"):
            return bool(job["result"]["success"])
        time.sleep(0.005)
    with seen.lock:
        seen.endless.append(path)
    return False


def _ask(seen: Seen, send: Callable[[], httpx.Response]) -> httpx.Response | None:
    try:
        answer = send()
    except httpx.TransportError as error:
        with seen.lock:
            seen.refused[type(error).__name__] += 1
        return None
    if answer.status_code >= 500:
        with seen.lock:
            seen.refused[str(answer.status_code)] += 1
        time.sleep(0.02)
    return answer


def _compare(store: Store, events: list[str], lost: list[str], killed: float, seen: Seen) -> Loss:
    forgotten, sold_twice = 0, []
    for event in events:
        reserved: set[str] = set()
        entries: Any = store.client.xrange(keys.changes(event))
        for _, change in entries:
            if change["seat"] in reserved:
                sold_twice.append(f"{event}-{change['seat']}: {change['cause']} after it was reserved")
            if change["cause"] == "reserved":
                reserved.add(change["seat"])
        for number in range(1, _SEATS + 1):
            seat = store.seats.get(SeatId(event, number))
            if (seat.status == "Reserved") != (str(number) in reserved):
                sold_twice.append(f"{seat.id}: is {seat.status}, and its history says otherwise")
            forgotten += sum(user != seat.user or seat.status != "Reserved" for user in seen.told[seat.id])
    return Loss(
        events_lost=f"{len(lost)} of {len(events)}",
        away_s=max(_gaps([at for event in lost for at in seen.served[event]], killed), default=0.0),
        elsewhere_s=max(
            _gaps([at for event in set(events) - set(lost) for at in seen.served[event]], killed), default=0
        ),
        told=sum(bool(users) for users in seen.told.values()),
        forgotten=forgotten,
        told_twice=sum(len(users) > 1 for users in seen.told.values()),
        sold_twice=sold_twice,
        jobs=seen.jobs,
        unknown=len(seen.unknown),
        endless=seen.endless,
        refused=dict(seen.refused),
    )


def _gaps(times: list[float], since: float) -> list[float]:
    """The times between two successes, of those that end later than `since`."""
    times = sorted(times)
    return [after - before for before, after in pairwise(times) if after > since]
