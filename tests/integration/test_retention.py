"""Events are removed some time after their sales have ended: all that there is of them, archived first if wanted."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from reservation import events as events_module
from reservation import keys, metrics
from reservation.archive import Archive
from reservation.codes import Code
from reservation.errors import NotFound, StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.models import Event, WaitingRoom
from reservation.requests import NewLayout
from reservation.retention import Retention
from reservation.settings import Settings, SettingsError, load
from reservation.store import Store
from tests.conftest import Buyer, wait_for
from tests.e2e.conftest import Process
from tests.integration.conftest import lines_of
from tests.integration.test_waiting_room import now_ms

KEEP_MS = 3_600_000
#: Keys that a removed event may leave, because they expire by themselves, soon.
LASTING = ("job:", ":call:", ":once:", ":ticket:", ":holder:", ":abandoned")
LAYOUT = NewLayout.model_validate({"sections": [{"name": "Stalls", "rows": [{"seats": 10, "count": 30}]}]})


class Broken(Exception):
    """In the place of whatever ends a process."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def retention(store: Store, folder: Path) -> Retention:
    archive = Archive(store.scripts, store.events, folder, b"secret")
    return Retention(store.scripts, store.events, KEEP_MS, archive)


def grow_old(store: Store, event: Event, ms: int = KEEP_MS) -> None:
    """Has an event's sales ended so long ago."""
    store.client.hset(keys.event(event.id), "closesAt", now_ms(store) - ms)


@pytest.fixture
def over(store: Store, buyer: Buyer, rival: Buyer) -> Event:
    """An event with one of all that there may be of one, whose time is over."""
    room = WaitingRoom(admit_per_minute=60, admission_ttl=600)
    event = store.events.create("Opening night", 300, layout=LAYOUT, room=room, opens_at=now_ms(store) + KEEP_MS)
    hook = store.webhooks.create(event.id, "https://tickets.example/hooks", ["seat.reserved"], "", None)
    store.rooms.draw(event.id, buyer.user)
    store.client.hdel(keys.event(event.id), "opensAt", "admitPerMinute", "admissionTtl", "roomKey")
    for who, number in ((buyer, 1), (rival, 300)):
        who.hold(SeatId(event.id, number))
        who.reserve(SeatId(event.id, number))
    buyer.hold(SeatId(event.id, 2))
    store.seats.release(SeatId(event.id, 2), buyer.user)
    store.seats.block([SeatId(event.id, 3)], "", "Broken")
    failed = JobId.new(event.id)
    store.seats.accept_hold(SeatId(event.id, 4), buyer.user, failed)
    store.seats.fail(SeatId(event.id, 4), buyer.user, failed, Code.INTERNAL_ERROR)
    store.webhooks.follow([event.id])
    assert store.client.exists(*keys.webhook(event.id, hook.id))
    grow_old(store, event)
    return event


def left(store: Store, event: Event) -> list[str]:
    """Keys that have the event in their names, or in themselves, and do not expire by themselves."""
    found = []
    for server in store.servers.primaries():
        for key in cast(Any, server.scan_iter(count=1_000)):
            lasts = not (any(part in key for part in LASTING) and server.pttl(key) > 0)
            found += [key] * (event.id in key and lasts)
    indexes = (keys.EVENTS, keys.ACTIVE, keys.WEBHOOK_EVENTS)
    return found + [index for index in indexes if store.client.zscore(index, event.id) is not None]


def lines(folder: Path, event: Event) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{event.id}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def test_nothing_is_left_of_it(store: Store, retention: Retention, over: Event, event: Event) -> None:
    """And of others nothing is missing."""
    others = left(store, event)
    retention.sweep()
    assert left(store, over) == []
    with pytest.raises(NotFound):
        store.events.get(over.id)
    assert [one.id for one in store.events.newest(10).events] == [event.id]
    assert left(store, event) == others


def test_it_is_kept_until_then(store: Store, retention: Retention, event: Event, buyer: Buyer) -> None:
    """For ever, if sales do not end; and while somebody holds a seat, or a job is open."""
    for ended_ms in (None, KEEP_MS - 60_000, -60_000):
        if ended_ms is not None:
            grow_old(store, event, ended_ms)
        retention.sweep()
        assert store.events.get(event.id)
    grow_old(store, event, -60_000)
    job = JobId.new(event.id)
    store.seats.accept_hold(SeatId(event.id, 1), buyer.user, job)
    grow_old(store, event)
    retention.sweep()
    assert store.events.get(event.id)
    grow_old(store, event, -60_000)
    store.seats.hold(SeatId(event.id, 1), buyer.user, job)
    grow_old(store, event)
    retention.sweep()
    assert store.events.get(event.id)
    store.seats.release(SeatId(event.id, 1), buyer.user)
    retention.sweep()
    with pytest.raises(NotFound):
        store.events.get(event.id)


def test_its_archive_says_what_it_was(
    store: Store, retention: Retention, folder: Path, over: Event, buyer: Buyer
) -> None:
    """The event, each seat and each change that is still known; users only as the audit has them."""
    reserved = store.seats.get(SeatId(over.id, 1))
    expected = store.events.get(over.id)
    retention.sweep()
    assert [path.name for path in folder.iterdir()] == [f"{over.id}.jsonl.gz"]
    event, *rest, end = lines(folder, over)
    seats, changes = [[line for line in rest if line["line"] == kind] for kind in ("seat", "change")]
    assert event == {
        "line": "event",
        "format": 1,
        "sequence": 7,
        **expected.model_dump(by_alias=True, exclude_none=True),
        "layout": LAYOUT.model_dump(by_alias=True, exclude_defaults=True),
    }
    assert end == {"line": "end", "seats": 300, "changes": 7}
    assert [seat["seat"] for seat in seats] == [f"{over.id}-{number}" for number in range(1, 301)]
    statuses = {1: "Reserved", 3: "Blocked", 300: "Reserved"}
    assert [seat["status"] for seat in seats] == [statuses.get(number, "Available") for number in range(1, 301)]
    assert seats[0]["reservationId"] == reserved.reservation_id
    assert seats[0]["actor"] != seats[299]["actor"]
    assert [change["sequence"] for change in changes] == list(range(1, 8))
    assert changes[-1]["reason"] == "Broken"
    assert buyer.user not in (folder / f"{over.id}.jsonl.gz").read_text("latin-1")
    assert buyer.user not in json.dumps([event, *rest])


def test_without_an_archive_nothing_is_kept(store: Store, over: Event) -> None:
    """Where none is wanted."""
    Retention(store.scripts, store.events, KEEP_MS, None).sweep()
    assert left(store, over) == []


def test_what_cannot_be_archived_is_not_removed(
    store: Store, folder: Path, over: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and said and counted, as somebody has to make room."""
    there = folder / "archive"
    archive = Archive(store.scripts, store.events, there, b"")
    retention = Retention(store.scripts, store.events, KEEP_MS, archive)
    name = "reservation_archive_failures_total"
    lines = lines_of("reservation.retention", monkeypatch)
    before, kept = metrics.REGISTRY.get_sample_value(name) or 0, left(store, over)
    retention.sweep()
    assert metrics.REGISTRY.get_sample_value(name) == before + 1
    assert [(line["event"], line["event_id"]) for line in lines] == [("event not archived", over.id)]
    assert left(store, over) == kept
    there.mkdir()
    retention.sweep()
    assert left(store, over) == []


def test_a_full_disk_leaves_the_event_and_no_file(
    store: Store, retention: Retention, folder: Path, over: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it is noticed, at the last moment even."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("reservation.archive.os.fsync", full)
        retention.sweep()
    assert list(folder.iterdir()) == []
    assert store.events.get(over.id)
    retention.sweep()
    assert left(store, over) == []


class Breaking:
    """Has the store's calls counted, and none carried out from one of them on."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.calls, self._at = 0, at
        for name in ("run", "execute", "run_each", "execute_each"):
            monkeypatch.setattr(store.scripts, name, self._counted(getattr(store.scripts, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            if self.calls == self._at:
                raise Broken
            self.calls += 1
            return call(*args, **named)

        return counted


def test_whatever_it_breaks_off_at_is_gone_on_with(
    store: Store, retention: Retention, folder: Path, monkeypatch: pytest.MonkeyPatch, buyer: Buyer
) -> None:
    """Before each of its calls in turn. Nothing is lost: there is the event, or its archive; and in the end nothing is
    left, and the archive is whole."""
    at, done = 0, False
    while not done:
        event = store.events.create("Opening night", 20)
        buyer.hold(SeatId(event.id, 1))
        buyer.reserve(SeatId(event.id, 1))
        grow_old(store, event)
        with monkeypatch.context() as patch:
            Breaking(store, patch, at)
            try:
                done = retention.remove(event.id)
            except Broken:
                done = False
        gone = not store.client.exists(keys.event(event.id))
        assert not gone or lines(folder, event)[-1]["line"] == "end"
        # Whoever had claimed it is gone: the claim lapses.
        store.client.delete(keys.retiring(event.id))
        retention.sweep()
        if gone and not done:
            # The sweeper looks for what is left, but for creations that may still be under way.
            store.client.zadd(keys.EVENTS, {event.id: 1}, xx=True)
            store.events.remove_unpublished(event.id)
        assert left(store, event) == [], at
        assert [line["line"] for line in lines(folder, event)].count("change") == 2
        at += 1
    assert at > 12


def test_what_happens_while_it_is_archived_is_in_the_archive(
    store: Store, retention: Retention, folder: Path, over: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reservation is cancelled at the last moment: the event stays, and is archived again."""
    write = Archive.write

    def late(self: Archive, event_id: str, version: int) -> None:
        write(self, event_id, version)
        store.seats.cancel(SeatId(event_id, 1), store.seats.get(SeatId(event_id, 1)).user, "")

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "write", late)
        retention.sweep()
    assert store.events.get(over.id)
    retention.sweep()
    assert lines(folder, over)[1]["status"] == "Available"
    assert lines(folder, over)[0]["sequence"] == 8
    assert left(store, over) == []


def test_an_archive_that_is_there_is_not_written_again(
    store: Store, retention: Retention, folder: Path, over: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have changes that Redis has dropped since. But one that is torn, or older, is."""
    path = folder / f"{over.id}.jsonl.gz"
    archive = Archive(store.scripts, store.events, folder, b"secret")
    archive.write(over.id, 7)
    whole = path.read_bytes()
    store.client.xtrim(keys.changes(over.id), maxlen=0, approximate=False)
    archive.write(over.id, 7)
    assert path.read_bytes() == whole
    spoilt = whole[:12] + b"\xff" * 8 + whole[20:]
    for other in (whole[:20], spoilt, b"no archive"):
        path.write_bytes(other)
        (folder / f".{over.id}-left").write_bytes(b"of one that was killed")
        archive.write(over.id, 7)
        assert lines(folder, over)[-1]["changes"] == 0
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_a_hall_is_removed_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call is about more than so many seats: Redis serves others in between."""
    event = store.events.create("Opening night", 600)
    grow_old(store, event)
    monkeypatch.setattr(events_module, "_BATCH", 100)
    most = 0
    execute = store.scripts.execute

    def measured(*command: Any) -> Any:
        nonlocal most
        most = max(most, len(command))
        return execute(*command)

    monkeypatch.setattr(store.scripts, "execute", measured)
    Retention(store.scripts, store.events, KEEP_MS, None).sweep()
    assert left(store, event) == []
    assert most <= 201


def test_several_at_once_remove_it_once(store: Store, retention: Retention, over: Event) -> None:
    """Whoever comes second leaves it to the first."""
    store.client.set(keys.retiring(over.id), 1)
    retention.sweep()
    assert store.events.get(over.id)
    store.client.delete(keys.retiring(over.id))
    assert retention.remove(over.id)
    assert not retention.remove(over.id)
    assert not store.client.exists(keys.retiring(over.id))


def test_a_state_that_is_gone_removes_nothing(
    store: Store, retention: Retention, over: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done later."""

    def gone(*_: Any) -> Any:
        raise StateUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(store.scripts, "execute_each", gone)
        with pytest.raises(StateUnavailable):
            retention.sweep()
    retention.sweep()
    assert left(store, over) == []


def test_it_is_as_long_as_requests_are_remembered(folder: Path) -> None:
    """At the least: who sends one again must not be told of an event that is no more."""
    for values in ({"event_retention": 86_399}, {"archive_dir": folder}):
        with pytest.raises(SettingsError, match=next(iter(values)).upper()):
            load(_env_file=None, **values)
    settings = load(_env_file=None, event_retention=86_400, archive_dir=folder)
    assert isinstance(settings, Settings)


def test_a_sweeper_does_it(store: Store, settings: Settings, folder: Path, event: Event) -> None:
    """If it is set to."""
    grow_old(store, event)
    kept = folder / "kept"
    kept.mkdir()
    limits = {"IDEMPOTENCY_TTL": "1", "EVENT_RETENTION": "1", "ARCHIVE_DIR": str(kept)}
    sweeper = Process("sweeper", cwd=folder, REDIS_URL=settings.state_url, **limits)
    try:
        wait_for(lambda: left(store, event) == [], 20)
        assert lines(kept, event)[-1]["line"] == "end"
    finally:
        sweeper.stop()
