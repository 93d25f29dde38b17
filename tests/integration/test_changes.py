"""The changes of an event's seats, as the live feed reads them."""

from typing import Any, cast

import pytest

from reservation import keys
from reservation.codes import Code
from reservation.errors import NotFound
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.store import Store
from tests.conftest import Buyer, changes
from tests.integration.conftest import change_as_later_version

EVERY_CAUSE = ["held", "refreshed", "released", "held", "reserved", "held", "expired"]


def _every_cause(store: Store, event: Event, buyer: Buyer) -> None:
    first, second, third = (SeatId(event.id, number) for number in (1, 2, 3))
    buyer.hold(first)
    store.seats.refresh(first, buyer.user)
    store.seats.release(first, buyer.user)
    buyer.hold(second)
    buyer.reserve(second)
    buyer.hold(third)
    # As if a minute had passed.
    store.client.hset(keys.seat(third), "expiresAt", 1)
    store.client.zadd(keys.holds(event.id), {str(third): 1})
    store.seats.release_due(event.id)


def test_every_change_is_told_in_order(store: Store, event: Event, buyer: Buyer) -> None:
    """Each with its number, the seat, what it was and has become, why and when."""
    _every_cause(store, event, buyer)
    recent = store.changes.since(event.id, 0, 100)
    assert recent.sequence == len(EVERY_CAUSE)
    assert recent.changes is not None
    assert [change.cause for change in recent.changes] == EVERY_CAUSE
    assert [change.sequence for change in recent.changes] == list(range(1, 8))
    assert [change.seat for change in recent.changes] == [f"{event.id}-{n}" for n in (1, 1, 1, 2, 2, 3, 3)]
    seen: dict[str, str] = {}
    for change in recent.changes:
        assert change.before == seen.get(change.seat, "Available")
        seen[change.seat] = change.to
    entries = cast(Any, store.client.xrange(keys.changes(event.id)))
    assert [change.time for change in recent.changes] == [int(entry.split("-")[0]) for entry, _ in entries]
    assert recent.position == entries[-1][0]


def test_a_job_that_fails_is_no_change(store: Store, event: Event, buyer: Buyer) -> None:
    """It has a stream of its own, with numbers of its own, once for each job: who reads the changes misses none."""
    _every_cause(store, event, buyer)
    for number in (4, 5):
        job, seat = JobId.new(event.id), SeatId(event.id, number)
        store.seats.accept_hold(seat, buyer.user, job, "request-1")
        for _ in range(2):
            store.seats.fail(seat, buyer.user, job, Code.INTERNAL_ERROR)
    entries = cast(Any, store.client.xrange(keys.failures(event.id)))
    assert [(fields["seq"], fields["seat"], fields["cause"]) for _, fields in entries] == [
        ("1", "4", "job-failed"),
        ("2", "5", "job-failed"),
    ]
    assert entries[-1][1]["job"] == str(job)
    assert entries[-1][1]["actor"] == changes(store, event.id)[0]["actor"]
    assert entries[-1][1]["code"] == str(Code.INTERNAL_ERROR.value)
    assert 0 < store.client.pttl(keys.failures(event.id)) <= 86_400_000
    recent = store.changes.since(event.id, 0, 100)
    assert recent.sequence == len(recent.changes or []) == len(EVERY_CAUSE)


def test_nobody_is_told_who_made_a_change(store: Store, event: Event, buyer: Buyer) -> None:
    """Neither the user, nor the hash of it that the stream has, nor the job."""
    _every_cause(store, event, buyer)
    changes = store.changes.since(event.id, 0, 100).changes
    assert changes
    for change in changes:
        assert set(change.model_dump(by_alias=True)) == {"sequence", "seat", "from", "to", "cause", "time"}


def test_only_what_was_missed_is_told(store: Store, event: Event, buyer: Buyer) -> None:
    """And nothing to who has missed nothing."""
    _every_cause(store, event, buyer)
    assert [c.sequence for c in store.changes.since(event.id, 5, 2).changes or []] == [6, 7]
    assert store.changes.since(event.id, 7, 2).changes == []


def test_the_newest_are_told_to_who_knows_none(store: Store, event: Event, buyer: Buyer) -> None:
    """However many there were before."""
    assert store.changes.since(event.id, -1, 3) == (0, "0-0", [])
    _every_cause(store, event, buyer)
    assert [c.sequence for c in store.changes.since(event.id, -1, 3).changes or []] == [5, 6, 7]
    store.client.xtrim(keys.changes(event.id), maxlen=2, approximate=False)
    assert [c.sequence for c in store.changes.since(event.id, -1, 3).changes or []] == [6, 7]


@pytest.mark.parametrize(("since", "most"), [(0, 6), (8, 100), (3, 100)])
def test_who_cannot_be_told_all_is_told_so(store: Store, event: Event, buyer: Buyer, since: int, most: int) -> None:
    """Because there are too many, because the caller knows of more than there is, or because they are trimmed."""
    _every_cause(store, event, buyer)
    store.client.xtrim(keys.changes(event.id), maxlen=3 if since == 3 else 7, approximate=False)
    recent = store.changes.since(event.id, since, most)
    assert recent.changes is None
    assert recent.sequence == 7
    assert recent.position == cast(Any, store.client.xrevrange(keys.changes(event.id), count=1))[0][0]


def test_what_a_later_version_has_done_cannot_be_told(store: Store, event: Event, buyer: Buyer) -> None:
    """Who has missed it has to read the seats; what came after it can be told again."""
    buyer.hold(SeatId(event.id, 1))
    change_as_later_version(store, SeatId(event.id, 2))
    buyer.hold(SeatId(event.id, 3))
    for since in (0, 1):
        assert store.changes.since(event.id, since, 10).changes is None
        assert store.changes.since(event.id, since, 10).sequence == 3
    for since in (2, -1):
        assert [c.sequence for c in store.changes.since(event.id, since, 10).changes or []] == [3]


def test_an_unknown_event_is_not_found(store: Store) -> None:
    """And so has no changes."""
    with pytest.raises(NotFound):
        store.changes.since("k3v9x2m7qa", 0, 10)
