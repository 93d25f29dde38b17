"""Reading an event's changes on where they are kept, whatever becomes of that: each is told once, in order."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from reservation.clients import SOCKET_TIMEOUT_S
from reservation.errors import StateUnavailable
from reservation.ids import SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation.tail import Tail
from reservation_http.feed.topic import Topic
from tests.cluster import Node, RedisCluster, cluster, slot
from tests.conftest import Buyer, wait_for
from tests.sentinels import sentinels

Make = Callable[..., Settings]
#: How long a read waits for a change that does not come, seconds.
_BLOCK_S = 1.0


class Ear:
    """Watches, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.resets = 0

    def tell(self, data: bytes) -> None:
        self.told += [int(line[4:]) for line in data.splitlines() if line.startswith(b"id: ")]

    def reset(self) -> None:
        self.resets += 1

    def leave(self) -> None:
        self.resets += 1


@contextmanager
def hearing(store: Store, settings: Settings, *events: Event) -> Iterator[list[Ear]]:
    """Watches events from a loop in another thread, as the stream service does."""
    ears = [Ear() for _ in events]
    ready, done = threading.Event(), threading.Event()

    async def hear() -> None:
        tail = Tail(settings.state_url, 10, _BLOCK_S)
        topics = [Topic(event.id, store, tail) for event in events]
        for topic, ear in zip(topics, ears, strict=True):
            await topic.start()
            topic.watchers.add(ear)
        ready.set()
        await asyncio.to_thread(done.wait)
        broken = [topic._reader.exception() for topic in topics if topic._reader is not None and topic.broken]
        await asyncio.gather(*(topic.stop() for topic in topics))
        await tail.close()
        assert not broken, broken

    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(hear())
        except BaseException as error:  # noqa: BLE001 - raised below, where it is seen
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(20)
    try:
        yield ears
    finally:
        done.set()
        thread.join()
        if failures:
            raise failures[0]


def _held(store: Store, event: Event, number: int) -> bool:
    """Holds a seat, or another if that was held, and nobody could say so; whether it is told now."""
    with suppress(StateUnavailable):
        Buyer(store, str(uuid4())).hold(SeatId(event.id, number))
        return True
    return False


def _sequence(store: Store, event: Event) -> int:
    with suppress(StateUnavailable):
        return store.changes.since(event.id, -1, 0).sequence
    return -1


def _all_heard(store: Store, event: Event, ear: Ear) -> bool:
    return bool(ear.told) and ear.told[-1] == _sequence(store, event)


def _assert_whole(store: Store, event: Event, ear: Ear) -> None:
    """Each was told, once, in order."""
    assert ear.told == list(range(1, _sequence(store, event) + 1))
    assert not ear.resets


def _of_another_node(store: Store, nodes: RedisCluster, node: Node) -> Event:
    """An event that is not on a node."""
    while nodes.owner(slot((event := store.events.create("Matinee", 50)).id)) is node:
        pass
    return event


@contextmanager
def _opened(make_settings: Make, url: str) -> Iterator[tuple[Store, Settings, Event]]:
    settings = make_settings(redis_url=url)
    store = Store.connect(settings, connections=4)
    yield store, settings, store.events.create("Opening night", 50)
    store.servers.close()


def test_nothing_is_missed_while_its_slot_is_moved(make_settings: Make) -> None:
    """From node to node, with changes before, after, and while half of its keys are on their way."""
    with (
        cluster() as nodes,
        _opened(make_settings, nodes.url()) as (store, settings, event),
        hearing(store, settings, event) as (ear,),
    ):
        number = slot(event.id)
        for round_, to in enumerate((*nodes.nodes, *nodes.nodes), 1):
            assert _held(store, event, round_)
            wait_for(lambda: _all_heard(store, event, ear))
            source = nodes.owner(number)
            if source is not to:
                nodes.move(number, to, half=True)
                _held(store, event, round_ + 20)
                nodes.finish(number, source, to)
        wait_for(lambda: _all_heard(store, event, ear))
        _assert_whole(store, event, ear)


def test_a_replica_that_takes_over_is_found(make_settings: Make) -> None:
    """By who reads its events. Who reads those of other nodes is told of changes meanwhile."""
    with cluster(replicas=1) as nodes, _opened(make_settings, nodes.url()) as (store, settings, event):
        lost = nodes.owner(slot(event.id))
        other = _of_another_node(store, nodes, lost)
        with hearing(store, settings, event, other) as (ear, undisturbed):
            assert _held(store, event, 1)
            wait_for(lambda: _all_heard(store, event, ear))
            assert lost.client.wait(1, 5_000) == 1
            lost.kill()
            for number in range(1, 5):
                wait_for(lambda number=number: _held(store, other, number))  # type: ignore[misc]  # bound now
            wait_for(lambda: _all_heard(store, other, undisturbed))
            wait_for(lambda: nodes.owner(slot(event.id)) is not lost, 30)
            wait_for(lambda: _held(store, event, 2), 30)
            wait_for(lambda: _all_heard(store, event, ear), 30)
            _assert_whole(store, event, ear)
            _assert_whole(store, other, undisturbed)


def test_a_node_that_hangs_keeps_nobody_else_waiting(make_settings: Make) -> None:
    """Events of other nodes are read as ever, also once it has been given up; its own are once it goes on."""
    with cluster() as nodes, _opened(make_settings, nodes.url()) as (store, settings, event):
        lost = nodes.owner(slot(event.id))
        other = _of_another_node(store, nodes, lost)
        with hearing(store, settings, event, other) as (ear, undisturbed):
            seat, buyer = SeatId(other.id, 1), Buyer(store, str(uuid4()))
            buyer.hold(seat)
            lost.pause()
            until = time.monotonic() + _BLOCK_S + SOCKET_TIMEOUT_S + 2
            longest = 0.0
            while time.monotonic() < until:
                store.seats.refresh(seat, buyer.user)
                refreshed = time.monotonic()
                wait_for(lambda: _all_heard(store, other, undisturbed))
                longest = max(longest, time.monotonic() - refreshed)
            lost.go_on()
            # Whoever waited for the node would wait until it is given up.
            assert longest < SOCKET_TIMEOUT_S
            wait_for(lambda: _held(store, event, 1), 30)
            wait_for(lambda: _all_heard(store, event, ear), 30)
            _assert_whole(store, event, ear)
            _assert_whole(store, other, undisturbed)


def test_a_cluster_that_is_gone_is_waited_for(make_settings: Make) -> None:
    """All of it, with nobody left who could be asked."""
    with (
        cluster() as nodes,
        _opened(make_settings, nodes.url()) as (store, settings, event),
        hearing(store, settings, event) as (ear,),
    ):
        assert _held(store, event, 1)
        wait_for(lambda: _all_heard(store, event, ear))
        for node in nodes.nodes:
            node.kill()
        assert not _held(store, event, 2)
        for node in nodes.nodes:
            node.start()
        wait_for(lambda: _held(store, event, 3), 30)
        wait_for(lambda: _all_heard(store, event, ear), 30)
        _assert_whole(store, event, ear)


def test_a_primary_that_sentinels_name_is_found(make_settings: Make) -> None:
    """Although the one that is asked first is gone with the one before."""
    with (
        sentinels() as watched,
        _opened(make_settings, watched.url()) as (store, settings, event),
        hearing(store, settings, event) as (ear,),
    ):
        assert _held(store, event, 1)
        wait_for(lambda: _all_heard(store, event, ear))
        before = watched.primary()
        assert store.client.wait(1, 5_000) == 1
        watched.kill(before)
        wait_for(lambda: watched.primary() != before, 30)
        wait_for(lambda: _held(store, event, 2), 30)
        wait_for(lambda: _all_heard(store, event, ear), 30)
        _assert_whole(store, event, ear)
