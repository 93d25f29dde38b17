"""Events: whole or absent, and their lists of free seats."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from reservation import keys
from reservation.codes import Code
from reservation.errors import NotFound, StateUnavailable
from reservation.events import Events
from reservation.ids import SeatId
from reservation.models import Event
from reservation.scripts import Scripts
from reservation.store import Store
from tests.conftest import Buyer
from tests.integration.conftest import lapse


@pytest.mark.parametrize("total", [10, 501, 10_000])
def test_an_event_has_all_its_seats(store: Store, total: int) -> None:
    """Numbered from 1, free, in order."""
    event = store.events.create("Opening night", total)
    assert store.events.get(event.id) == event
    free = store.events.list_free(event.id)
    assert free.total == total
    assert free.ids == [f"{event.id}-{n}" for n in range(1, total + 1)]
    assert store.client.scard(keys.seats(event.id)) == total
    assert store.client.hgetall(keys.seat(SeatId(event.id, total))) == {
        "id": f"{event.id}-{total}",
        "eventId": event.id,
        "UUID": "",
        "status": "Available",
    }


class _Breaking(Scripts):
    """Loses the server at a step of a creation."""

    def __init__(self, scripts: Scripts, step: str) -> None:
        super().__init__(scripts.servers, scripts._guard)
        self._step = step

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | int] = (), *, alone: bool = False) -> Any:
        if name == self._step:
            raise StateUnavailable
        return super().run(name, keys, args)


@pytest.mark.parametrize("step", ["index_event", "create_seats", "publish_event"])
def test_a_creation_that_breaks_off_shows_nothing(store: Store, step: str) -> None:
    """No event without seats, no seats that can be had."""
    events = Events(_Breaking(store.scripts, step), new_id=lambda: "k3v9x2m7qa")
    with pytest.raises(StateUnavailable):
        events.create("Opening night", 700)
    with pytest.raises(NotFound):
        store.events.get("k3v9x2m7qa")
    with pytest.raises(NotFound):
        store.events.list_free("k3v9x2m7qa")
    with pytest.raises(NotFound):
        store.events.seat_map("k3v9x2m7qa")
    with pytest.raises(NotFound):
        store.seats.get(SeatId("k3v9x2m7qa", 1))


def test_remains_of_a_creation_are_removed_once_they_are_old(store: Store) -> None:
    """And not before: the creation may still be going on."""
    events = Events(_Breaking(store.scripts, "publish_event"), new_id=lambda: "k3v9x2m7qa")
    with pytest.raises(StateUnavailable):
        events.create("Opening night", 700)
    assert not store.events.remove_unpublished("k3v9x2m7qa")
    assert store.client.exists(keys.seat(SeatId("k3v9x2m7qa", 700)))
    store.client.zincrby(keys.EVENTS, -601_000, "k3v9x2m7qa")
    assert store.events.remove_unpublished("k3v9x2m7qa")
    assert store.client.keys("*k3v9x2m7qa*") == [keys.abandoned("k3v9x2m7qa")]
    assert store.client.zcard(keys.EVENTS) == 0


def test_a_creation_that_was_given_up_cannot_go_on(store: Store) -> None:
    """Its creator was only slow: nothing of its seats may appear, and no event without them."""
    events = Events(_Breaking(store.scripts, "publish_event"), new_id=lambda: "k3v9x2m7qa")
    with pytest.raises(StateUnavailable):
        events.create("Opening night", 20)
    store.client.zincrby(keys.EVENTS, -601_000, "k3v9x2m7qa")
    assert store.events.remove_unpublished("k3v9x2m7qa")
    names = [keys.event("k3v9x2m7qa"), keys.abandoned("k3v9x2m7qa"), keys.seats("k3v9x2m7qa")]
    assert store.scripts.run("publish_event", names, ["k3v9x2m7qa", "x", 20])[0] == Code.EVENT_ABANDONED
    seats = [keys.available("k3v9x2m7qa"), keys.seat(SeatId("k3v9x2m7qa", 1))]
    assert store.scripts.run("create_seats", [*names, *seats], ["k3v9x2m7qa", 1])[0] == Code.EVENT_ABANDONED
    assert store.client.keys("*k3v9x2m7qa*") == [keys.abandoned("k3v9x2m7qa")]


def test_seats_written_late_do_not_free_what_was_sold(store: Store, event: Event, buyer: Buyer) -> None:
    """A batch that was sent twice, of which one was long on its way."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    buyer.reserve(seat)
    names = [keys.event(event.id), keys.abandoned(event.id), keys.seats(event.id), keys.available(event.id)]
    store.scripts.run("create_seats", [*names, keys.seat(seat)], [event.id, 1])
    assert store.seats.get(seat).status == "Reserved"
    assert store.events.list_free(event.id).total == 19


def test_an_id_that_is_taken_is_not_given_again(store: Store) -> None:
    """The next one is tried."""
    ids = iter(["k3v9x2m7qa", "k3v9x2m7qa", "k3v9x2m7qb"])
    events = Events(store.scripts, new_id=lambda: next(ids))
    assert events.create("One", 10).id == "k3v9x2m7qa"
    created = store.client.zscore(keys.EVENTS, "k3v9x2m7qa")
    assert events.create("Two", 10).id == "k3v9x2m7qb"
    assert store.events.get("k3v9x2m7qa").name == "One"
    assert store.client.zscore(keys.EVENTS, "k3v9x2m7qa") == created


def test_publishing_twice_changes_nothing(store: Store, event: Event, buyer: Buyer) -> None:
    """A reply that was lost makes the client send it again, perhaps after the first sale."""
    buyer.hold(SeatId(event.id, 1))
    before = store.client.hgetall(keys.event(event.id))
    names = [keys.event(event.id), keys.abandoned(event.id), keys.seats(event.id)]
    store.scripts.run("publish_event", names, [event.id, "Again", 20])
    assert store.client.hgetall(keys.event(event.id)) == before


def test_an_event_that_lacks_seats_is_not_published(store: Store) -> None:
    """Whoever asks for it."""
    names = [keys.event("k3v9x2m7qa"), keys.abandoned("k3v9x2m7qa"), keys.seats("k3v9x2m7qa")]
    assert store.scripts.run("publish_event", names, ["k3v9x2m7qa", "x", 10])[0] == Code.EVENT_INCOMPLETE
    assert store.client.dbsize() == 0


def test_pages_follow_one_another(store: Store, event: Event, buyer: Buyer) -> None:
    """Every free seat once, in order; `total` counts all of them on each page."""
    for number in (2, 3, 20):
        buyer.hold(SeatId(event.id, number))
    store.client.zadd(keys.holds(event.id), {f"{event.id}-3": 1})  # due: free again
    seen: list[str] = []
    after, more = 0, True
    while more:
        page = store.events.list_free(event.id, after=after, limit=5)
        assert page.total == 18
        assert page.ids
        seen += page.ids
        after, more = SeatId.parse(page.ids[-1]).number, page.more
    assert seen == store.events.list_free(event.id).ids
    numbers = [SeatId.parse(text).number for text in seen]
    assert numbers == [1, *range(3, 20)]


def test_the_etag_holds_until_something_changes(store: Store, event: Event, buyer: Buyer) -> None:
    """A change, a hold that runs out, and its release each make a new one."""
    tags = []

    def note() -> None:
        free = store.events.list_free(event.id)
        assert store.events.list_free(event.id, known=free.etag).ids is None
        tags.append(free.etag)

    note()
    buyer.hold(SeatId(event.id, 1))
    note()
    store.client.zadd(keys.holds(event.id), {f"{event.id}-1": 1})
    store.client.hset(keys.seat(SeatId(event.id, 1)), "expiresAt", 1)
    note()
    assert store.seats.release_due(event.id) == 1
    note()
    assert all(a != b for a, b in pairwise(tags))
    assert len(set(tags)) == 4


@pytest.mark.parametrize("total", [10, 101, 10_000])
def test_a_seat_map_has_a_letter_for_each_seat(store: Store, total: int, buyer: Buyer, rival: Buyer) -> None:
    """In the order of their numbers, first and last included; the counts are those of the letters."""
    event = store.events.create("Opening night", total)
    assert _letters(store, event) == "A" * total
    for seat in (SeatId(event.id, 2), SeatId(event.id, total)):
        buyer.hold(seat)
        buyer.reserve(seat)
    buyer.hold(SeatId(event.id, 1))
    rival.hold(SeatId(event.id, total - 1))
    assert _letters(store, event) == "HR" + "A" * (total - 4) + "HR"
    etag, seats = store.events.seat_map(event.id)
    assert seats is not None
    assert (seats.event, seats.sequence) == (event.id, 6)
    assert (seats.free, seats.held, seats.reserved) == (total - 4, 2, 2)
    assert store.events.seat_map(event.id, etag) == (etag, None)


def test_a_seat_map_of_whole_blocks(store: Store, buyer: Buyer) -> None:
    """Of those that are free or sold as a whole no seat is looked at, and what is beside them is right."""
    event = store.events.create("Opening night", 310)
    ids = {n: f"{event.id}-{n}" for n in range(1, 311)}
    far, held, sold = 9_999_999_999_999, [100, *range(301, 311)], [99, *range(201, 250), *range(251, 301)]
    store.client.zrem(keys.available(event.id), *(ids[n] for n in (*held, *sold)))
    store.client.zadd(keys.holds(event.id), {ids[n]: far for n in held})
    assert _letters(store, event) == "A" * 98 + "RH" + "A" * 100 + "R" * 49 + "A" + "R" * 50 + "H" * 10


def test_a_hold_that_has_run_out_is_free_on_the_map(brief: Store, event: Event, buyer: Buyer, other: str) -> None:
    """Before anybody has freed it: the change is still to come, the ETag is another."""
    buyer.hold(SeatId(event.id, 1))
    Buyer(brief, other).hold(SeatId(event.id, 2))
    etag, seats = brief.events.seat_map(event.id)
    assert seats is not None
    assert seats.seats == "HH" + "A" * 18
    lapse(brief, SeatId(event.id, 2))
    lapsed, after = brief.events.seat_map(event.id, etag)
    assert after is not None
    assert (after.seats, after.free, after.held) == ("HA" + "A" * 18, 19, 1)
    assert (after.sequence, after.server_time > seats.server_time) == (seats.sequence, True)
    assert brief.seats.release_due(event.id) == 1
    assert len({etag, lapsed, brief.events.seat_map(event.id).etag}) == 3


def _letters(store: Store, event: Event) -> str:
    seats = store.events.seat_map(event.id).map
    assert seats is not None
    assert (seats.free, seats.held, seats.reserved) == tuple(seats.seats.count(letter) for letter in "AHR")
    return seats.seats


def _pages(events: Events, limit: int) -> list[list[str]]:
    """All pages, by the ids of their events."""
    pages, page = [], events.newest(limit)
    while page.next_cursor:
        pages.append([event.id for event in page.events])
        page = events.newest(limit, page.next_cursor)
    return [*pages, [event.id for event in page.events]]


def test_events_are_listed_newest_first(store: Store) -> None:
    """Each once, also those of one millisecond; the last page has no cursor, even if it is full."""
    assert _pages(store.events, 3) == [[]]
    made = [store.events.create("Opening night", 10) for _ in range(7)]
    store.client.zadd(keys.EVENTS, {event.id: made[0].created_at + n // 3 for n, event in enumerate(made)})
    pages = _pages(store.events, 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    listed = [event_id for page in pages for event_id in page]
    assert listed == store.client.zrevrange(keys.EVENTS, 0, -1)
    assert [{*listed[:1]}, {*listed[1:4]}, {*listed[4:]}] == [
        {event.id for event in some} for some in (made[6:], made[3:6], made[:3])
    ]
    assert [len(page) for page in _pages(store.events, 7)] == [7]


def test_events_say_how_their_seats_stand(brief: Store, buyer: Buyer, other: str) -> None:
    """A hold that has run out is free, whether or not anybody has been told."""
    event = brief.events.create("Opening night", 20)
    buyer.hold(SeatId(event.id, 1))
    buyer.hold(SeatId(event.id, 2))
    buyer.reserve(SeatId(event.id, 2))
    Buyer(brief, other).hold(SeatId(event.id, 3))
    lapse(brief, SeatId(event.id, 3))
    (listed,) = brief.events.newest(20).events
    assert (listed.free, listed.held, listed.reserved) == (18, 1, 1)
    assert listed.model_dump(exclude={"free", "held", "reserved", "blocked"}) == event.model_dump()


def test_events_that_come_meanwhile_move_no_page(store: Store) -> None:
    """None is listed twice, none is missed."""
    made = [store.events.create("Opening night", 10).id for _ in range(4)]
    store.client.zadd(keys.EVENTS, {event_id: n for n, event_id in enumerate(made)})
    first = store.events.newest(2)
    store.events.create("Late", 10)
    assert first.next_cursor == made[2]
    assert [event.id for event in store.events.newest(2, first.next_cursor).events] == made[1::-1]


def test_pages_are_filled_with_events_that_are_published(store: Store) -> None:
    """Those that are being created, or were given up, are passed over, however many; and are no last page either."""
    events = [store.events.create("Opening night", 10).id for _ in range(3)]
    begun = [f"begun{n:05}" for n in range(9)]
    order = [*begun[:5], events[0], *begun[5:7], events[1], events[2], *begun[7:]]
    store.client.zadd(keys.EVENTS, {event_id: n for n, event_id in enumerate(reversed(order))})
    assert _pages(store.events, 1) == [[event_id] for event_id in events]
    assert _pages(store.events, 2) == [events[:2], events[2:]]
    assert _pages(store.events, 3) == [events]


def test_an_event_that_is_given_up_meanwhile_ends_no_page(store: Store) -> None:
    """The page goes on after an event that was there a moment ago."""
    events = [store.events.create("Opening night", 10).id for _ in range(3)]
    order = [events[0], "begun00001", "begun00002", events[1], events[2]]
    store.client.zadd(keys.EVENTS, {event_id: n for n, event_id in enumerate(reversed(order))})

    class _GivingUp(Scripts):
        def run_each(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]) -> list[Any]:
            store.client.zrem(keys.EVENTS, "begun00002")
            return super().run_each(name, calls)

    listing = Events(_GivingUp(store.scripts.servers, store.scripts._guard))
    assert [event.id for event in listing.newest(2).events] == events[:2]


def test_a_page_that_follows_no_event_is_none(store: Store, event: Event) -> None:
    """Not the first one."""
    with pytest.raises(NotFound):
        store.events.newest(2, "k3v9x2m7qb")
