"""What an event that is watched does in the moments that a client cannot bring about."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest
import redis

from reservation.ids import SeatId
from reservation.models import Change, Event
from reservation.settings import Settings
from reservation.store import Store
from reservation.tail import Tail
from reservation_http.feed import hub as hubs
from reservation_http.feed import topic as topics
from reservation_http.feed.hub import Hub
from reservation_http.feed.topic import Topic
from tests.conftest import Buyer


class Late(Tail):
    """Reads nothing before it is let; then as ever, but for errors that it is given."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.state_url, 10, 0.05)
        self.let = asyncio.Event()
        self.errors: list[Exception] = []

    async def after(self, event_id: str, position: str) -> tuple[str, Sequence[Change] | None]:
        await self.let.wait()
        if self.errors:
            raise self.errors.pop()
        return await super().after(event_id, position)


class Told:
    """A watcher that remembers what it is told."""

    def __init__(self) -> None:
        self.said = b""
        self.resets = self.left = 0

    def tell(self, data: bytes) -> None:
        self.said += data

    def reset(self) -> None:
        self.resets += 1

    def leave(self) -> None:
        self.left += 1


async def _until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.005)


def _run(store: Store, settings: Settings, event: Event, test: Callable[[Topic, Late], Awaitable[None]]) -> None:
    async def run() -> None:
        tail = Late(settings)
        topic = Topic(event.id, store, tail)
        await topic.start()
        try:
            await test(topic, tail)
        finally:
            await topic.stop()
            await tail.close()

    asyncio.run(run())


def test_a_picture_that_is_ahead_waits_for_the_changes_in_it(
    store: Store, settings: Settings, event: Event, buyer: Buyer
) -> None:
    """Who begins with it would be told them again."""

    async def test(topic: Topic, tail: Late) -> None:
        buyer.hold(SeatId(event.id, 1))
        drawing = asyncio.create_task(topic.picture())
        await _until(lambda: topic._picture is not None)
        await asyncio.sleep(0)
        assert not drawing.done()
        tail.let.set()
        sequence, picture = await drawing
        assert (sequence, topic.sequence) == (1, 1)
        assert b'"seats":"HAAA' in picture

    _run(store, settings, event, test)


def test_a_picture_is_drawn_anew_once_the_changes_since_are_not_kept(
    store: Store, settings: Settings, event: Event, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it serves all who come within a second."""
    monkeypatch.setattr(topics, "KEPT", 2)
    monkeypatch.setattr(topics, "_PICTURE_S", 3600)

    async def test(topic: Topic, tail: Late) -> None:
        tail.let.set()
        assert (await topic.picture())[0] == 0
        for number in (1, 2):
            buyer.hold(SeatId(event.id, number))
        await _until(lambda: topic.sequence == 2)
        assert (await topic.picture())[0] == 0
        buyer.hold(SeatId(event.id, 3))
        await _until(lambda: topic.sequence == 3)
        assert (await topic.picture())[0] == 3

    _run(store, settings, event, test)


def test_what_was_recalled_is_gone_on_from_without_a_gap(
    store: Store, settings: Settings, event: Event, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the state had more than had been read here."""
    monkeypatch.setattr(topics, "KEPT", 2)

    async def test(topic: Topic, tail: Late) -> None:
        monkeypatch.setattr(topics, "KEPT", 10)
        buyer.hold(SeatId(event.id, 4))
        recalling = asyncio.create_task(topic.recall(0))
        await asyncio.sleep(0.1)
        tail.let.set()
        told = await recalling
        assert told is not None
        assert [one.change.sequence for one in told] == [1, 2, 3, 4]
        assert topic.since(4) == []

    for number in (1, 2, 3):
        buyer.hold(SeatId(event.id, number))
    _run(store, settings, event, test)


def test_silence_is_told_of(
    store: Store, settings: Settings, event: Event, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the number of the last change, and when; without an id, so that a client's last one stays."""
    monkeypatch.setattr(topics, "HEARTBEAT_S", 0.05)

    async def test(topic: Topic, tail: Late) -> None:
        watcher = Told()
        topic.watchers.add(watcher)
        buyer.hold(SeatId(event.id, 1))
        tail.let.set()
        await _until(lambda: b'event: heartbeat\ndata: {"sequence":1,"time":1' in watcher.said)

    _run(store, settings, event, test)


def test_nobody_hears_that_all_is_well_while_the_state_cannot_be_read(
    store: Store, settings: Settings, event: Event, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But once it can be again, every change."""
    monkeypatch.setattr(topics, "HEARTBEAT_S", 0.0)

    async def test(topic: Topic, tail: Late) -> None:
        watcher = Told()
        topic.watchers.add(watcher)
        buyer.hold(SeatId(event.id, 1))
        tail.errors = [redis.ConnectionError("gone")] * 3
        tail.let.set()
        await _until(lambda: not tail.errors)
        assert not watcher.said
        await _until(lambda: b"event: heartbeat" in watcher.said)
        assert watcher.said.index(b"event: change") < watcher.said.index(b"event: heartbeat")
        assert (watcher.resets, watcher.left) == (0, 0)

    _run(store, settings, event, test)


def test_a_mistake_of_ours_lets_everybody_go(store: Store, settings: Settings, event: Event) -> None:
    """They come back, and the event is read anew."""

    async def run() -> None:
        tail = Late(settings)
        hub = Hub(store, tail, 10, 10)
        topic, watcher = await hub.topic(event.id), Told()
        topic.watchers.add(watcher)
        assert await hub.topic(event.id) is topic
        tail.errors = [ZeroDivisionError()]
        tail.let.set()
        await _until(lambda: watcher.left)
        assert topic.broken
        assert not (await hub.topic(event.id)).broken
        await hub.close()
        await tail.close()

    asyncio.run(run())


def test_what_nobody_watches_any_more_is_not_read(
    store: Store, settings: Settings, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while."""
    monkeypatch.setattr(hubs, "_LOOK_S", 0.01)

    async def run() -> None:
        tail = Late(settings)
        tail.let.set()
        hub = Hub(store, tail, 10, 10)
        tidying = asyncio.create_task(hub.tidy())
        topic = await hub.topic(event.id)
        with hub.using(topic, "192.0.2.1"):
            monkeypatch.setattr(hubs, "_LINGER_S", 0.0)
            await asyncio.sleep(0.1)
            assert hub.events == 1
        await _until(lambda: hub.events == 0 and topic.broken)
        tidying.cancel()
        await hub.close()
        await tail.close()

    asyncio.run(run())
