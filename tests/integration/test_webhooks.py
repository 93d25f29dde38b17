"""Webhooks: all that happens is told, whatever is lost on the way, and nobody is told what they did not ask for."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from dramatiq import Worker

from actors.broker import ReservationBroker
from actors.posting import Poster
from actors.queue import Queue
from actors.webhooks import QUEUE, Sender, connect
from reservation import keys, metrics
from reservation.codes import Code
from reservation.errors import NotFound, TooManyWebhooks
from reservation.idempotency import Once
from reservation.ids import DeliveryId, JobId, SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation.webhook_models import CreatedWebhook, WebhookType
from reservation.webhooks import AT_A_TIME, MOST_WEBHOOKS, TYPES, Attempt, Outcome, Webhooks
from tests.conftest import Buyer, changes, wait_for
from tests.integration.conftest import lapse
from tests.receiver import Post, receiving

Hook = Callable[..., CreatedWebhook]


@pytest.fixture
def hook(store: Store, event: Event) -> Hook:
    """Adds webhooks to the event."""

    def add(url: str = "https://hooks.example/", types: Sequence[WebhookType] = TYPES) -> CreatedWebhook:
        return store.webhooks.create(event.id, url, types)

    return add


@pytest.fixture
def broker(settings: Settings, store: Store) -> Iterator[ReservationBroker]:
    """The queue of webhooks, empty."""
    broker = connect(settings)
    _empty(broker)
    yield broker
    broker.servers.close()


def _empty(broker: ReservationBroker) -> None:
    """Loses all that is in the queue."""
    for key in list(broker.servers.client.scan_iter("*dramatiq*")):
        broker.servers.client.delete(key)


@contextmanager
def sending(store: Store, broker: ReservationBroker, threads: int = 4) -> Iterator[Sender]:
    """What `reservation webhooks` does, on threads of this process; what has failed is due at once."""
    sender = Sender(store, broker, Poster(allow_private=True), chance=lambda: 0)
    worker = Worker(broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    stopping = threading.Event()

    def follow() -> None:
        while not stopping.wait(0.02):
            sender.follow()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield sender
    finally:
        stopping.set()
        thread.join()
        worker.stop()


def follow(store: Store, event: Event) -> list[DeliveryId]:
    """Has all that has happened made into messages; those that are to be sent now."""
    claimed: list[DeliveryId] = []
    more = True
    while more:
        found = store.webhooks.follow([event.id])[event.id]
        claimed += found.claimed
        more = found.more
    return claimed


def begin(store: Store, event: Event, delivery: DeliveryId, lease_ms: int = 60_000) -> Attempt:
    attempt = store.webhooks.begin(event.id, delivery, lease_ms)
    assert attempt is not None
    return attempt


def _once_lapsed(store: Store, event: Event, delivery: DeliveryId) -> Attempt:
    """The next attempt, once the one before counts as lost."""
    found: list[Attempt] = []

    def lapsed() -> bool:
        attempt = store.webhooks.begin(event.id, delivery)
        found.extend([attempt] if attempt else [])
        return bool(found)

    wait_for(lapsed)
    return found[0]


def statuses(store: Store, event: Event, hook: CreatedWebhook) -> Counter[str]:
    return Counter(delivery.status for delivery in store.webhooks.deliveries(event.id, hook.id, 100).deliveries)


def _all_told(store: Store, event: Event, hook: CreatedWebhook, count: int) -> bool:
    return statuses(store, event, hook) == {"delivered": count}


def test_what_happens_is_told(
    store: Store, brief: Store, broker: ReservationBroker, event: Event, user: str, hook: Hook
) -> None:
    """Reserved, released, expired and failed; not what was not asked for. Signed, with the same numbers as in the feed,
    and without the user."""
    short, seats = Buyer(brief, user), [SeatId(event.id, n) for n in range(1, 5)]
    with receiving() as receiver, sending(store, broker):
        added = hook(receiver.url())
        for seat in seats[:3]:
            short.hold(seat)
        Buyer(store, user).reserve(seats[0])
        store.seats.release(seats[1], user)
        lapse(store, seats[2])
        store.seats.release_due(event.id)
        job = JobId.new(event.id)
        store.seats.accept_hold(seats[3], user, job)
        store.seats.fail(seats[3], user, job, Code.INTERNAL_ERROR)
        wait_for(lambda: _all_told(store, event, added, 4))
    told = {message["type"]: message for message in (post.verified(added.secret) for post in receiver.posts)}
    assert set(told) == {"seat.reserved", "seat.released", "seat.expired", "job.failed"}
    numbers = {change["cause"]: int(change["seq"]) for change in changes(store, event.id)}
    actor = next(change["actor"] for change in changes(store, event.id) if change["cause"] == "held")
    for kind, seat, cause in zip(list(TYPES[:3]), seats, ("reserved", "released", "expired"), strict=False):
        data = told[kind]["data"]
        assert (data["event"], data["seat"], data["sequence"]) == (event.id, str(seat), numbers[cause])
        assert data.get("actor") == (None if cause == "expired" else actor)
    assert "jobId" not in told["seat.reserved"]["data"]
    failed = told["job.failed"]["data"]
    assert (failed["seat"], failed["jobId"], failed["error"]) == (str(seats[3]), str(job), "internal-error")
    assert "sequence" not in failed
    assert not [post for post in receiver.posts if user in f"{post.body!r}{post.headers}"]


def test_only_what_was_asked_for_and_what_happened_since(store: Store, event: Event, buyer: Buyer, hook: Hook) -> None:
    """Each webhook has its types, and knows nothing of before it was there, also where nobody has followed since."""
    seats = [SeatId(event.id, n) for n in range(1, 4)]
    for seat in seats:
        buyer.hold(seat)
    buyer.reserve(seats[0])
    first = hook(types=["seat.reserved"])
    buyer.reserve(seats[1])
    second, third = hook(types=["seat.released", "seat.reserved"]), hook(types=["job.failed"])
    store.seats.release(seats[2], buyer.user)
    follow(store, event)
    told = {
        added.id: [delivery.type for delivery in store.webhooks.deliveries(event.id, added.id, 10).deliveries]
        for added in (first, second, third)
    }
    assert told == {first.id: ["seat.reserved"], second.id: ["seat.released"], third.id: []}


def test_a_cause_that_is_not_known_is_passed_over(store: Store, event: Event, buyer: Buyer, hook: Hook) -> None:
    """It may be a newer version's. One that is known is told, whoever writes it."""
    added = hook()
    for number, cause in enumerate(("moved", "cancelled", "unheard-of"), 1):
        store.client.hincrby(keys.event(event.id), "version", 1)
        entry = {"seq": number, "seat": 3, "cause": cause, "actor": "a", "job": "", "request": "", "more": "x"}
        store.client.xadd(keys.changes(event.id), entry)  # type: ignore[arg-type]  # redis-py takes numbers
    follow(store, event)
    assert [one.type for one in store.webhooks.deliveries(event.id, added.id, 9).deliveries] == ["seat.cancelled"]


def test_seats_that_operators_block_are_told(store: Store, event: Event, hook: Hook) -> None:
    """And that they are to be had again."""
    added = hook()
    store.seats.block([SeatId(event.id, 3)], "")
    store.seats.unblock([SeatId(event.id, 3)], "")
    follow(store, event)
    told = [one.type for one in store.webhooks.deliveries(event.id, added.id, 9).deliveries]
    assert told == ["seat.unblocked", "seat.blocked"]


def test_none_is_made_twice_by_several_that_follow(store: Store, settings: Settings, hook: Hook, event: Event) -> None:
    """At the same time, each with connections of its own; and each message is given to one of them."""
    added = hook()
    stores = [Store.connect(settings, connections=2) for _ in range(4)]
    claimed: list[DeliveryId] = []
    stopping = threading.Event()

    def run(own: Store) -> None:
        while not stopping.is_set():
            claimed.extend(own.webhooks.follow([event.id])[event.id].claimed)

    threads = [threading.Thread(target=run, args=(own,)) for own in stores]
    for thread in threads:
        thread.start()
    for number in range(1, 21):
        buyer = Buyer(store, str(uuid4()))
        buyer.hold(SeatId(event.id, number))
        buyer.reserve(SeatId(event.id, number))
    wait_for(lambda: statuses(store, event, added) == {"pending": 20})
    wait_for(lambda: len(claimed) >= AT_A_TIME)
    stopping.set()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == AT_A_TIME


def test_one_of_several_sends(store: Store, event: Event, buyer: Buyer, hook: Hook) -> None:
    """A message that comes from the queue twice is sent once at a time, and once in all."""
    hook()
    buyer.hold(SeatId(event.id, 1))
    buyer.reserve(SeatId(event.id, 1))
    (delivery,) = follow(store, event)
    attempt = begin(store, event, delivery)
    assert store.webhooks.begin(event.id, delivery) is None
    store.webhooks.end(event.id, attempt, Outcome(200))
    assert store.webhooks.begin(event.id, delivery) is None


def _reserve(store: Store, event: Event, *numbers: int) -> None:
    for number in numbers:
        buyer = Buyer(store, str(uuid4()))
        buyer.hold(SeatId(event.id, number))
        buyer.reserve(SeatId(event.id, number))


def test_what_fails_is_sent_again_as_the_same_message(
    store: Store, broker: ReservationBroker, event: Event, hook: Hook
) -> None:
    """Twice 500, then 200: one id, the same body, three signatures that are right."""
    with receiving(500, 503, 200) as receiver, sending(store, broker):
        added = hook(receiver.url(), ["seat.reserved"])
        _reserve(store, event, 1)
        wait_for(lambda: _all_told(store, event, added, 1))
    (delivery,) = store.webhooks.deliveries(event.id, added.id, 9).deliveries
    assert receiver.ids() == [delivery.id] * 3
    assert len({post.body for post in receiver.posts}) == 1
    assert all(post.verified(added.secret) for post in receiver.posts)
    assert (delivery.attempts, delivery.status_code, delivery.next_attempt_at) == (3, 200, None)


def test_what_is_lost_with_the_queue_is_claimed_again(
    store: Store, broker: ReservationBroker, event: Event, hook: Hook
) -> None:
    """All its messages are gone, and the webhook's messages are told."""
    added = hook(types=["seat.reserved"])
    _reserve(store, event, 1, 2)
    short = Webhooks(store.scripts, 10**9, claim_ms=50)
    assert len(short.follow([event.id])[event.id].claimed) == 2
    _empty(broker)
    claimed: list[DeliveryId] = []

    def lapsed() -> bool:
        claimed.extend(short.follow([event.id])[event.id].claimed)
        return len(claimed) >= 2

    wait_for(lapsed)
    for delivery in set(claimed):
        store.webhooks.end(event.id, begin(store, event, delivery), Outcome(200))
    assert statuses(store, event, added) == {"delivered": 2}


def test_without_a_queue_nothing_is_lost(
    make_settings: Callable[..., Settings], store: Store, event: Event, hook: Hook
) -> None:
    """Messages are made, and claimed once there is one."""
    added = hook()
    _reserve(store, event, 1)
    gone = connect(make_settings(broker_url="unix:///nonexistent/queue.sock"))
    Sender(store, gone, Poster(allow_private=True)).follow()
    assert statuses(store, event, added) == {"pending": 1}
    assert len(follow(store, event)) == 1


def test_a_backlog_does_not_feed_itself(
    store: Store, broker: ReservationBroker, event: Event, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too many messages wait for a thread, no more are claimed, though those in the queue count as lost."""
    added = hook()
    sender = Sender(store, broker, Poster(allow_private=True))
    _reserve(store, event, *range(1, 4))
    monkeypatch.setattr("actors.webhooks._MOST_WAITING", 0)
    sender.follow()
    assert (broker.depth([QUEUE]), statuses(store, event, added)) == (0, {"pending": 3})
    monkeypatch.setattr("actors.webhooks._MOST_WAITING", 1)
    sender.follow()
    assert broker.depth([QUEUE]) == 3


_KILLED = """
import os, signal, sys
from actors.posting import Poster
from reservation.ids import DeliveryId
from reservation.settings import Settings
from reservation.store import Store

store = Store.connect(Settings(_env_file=None, redis_url=sys.argv[1]), connections=1)
attempt = store.webhooks.begin(sys.argv[2], DeliveryId.parse(sys.argv[3]), lease_ms=300)
outcome, _ = Poster(allow_private=True).post(attempt)
assert outcome.arrived, outcome
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_that_is_killed_before_it_could_say_so_has_told_twice(
    store: Store, settings: Settings, event: Event, hook: Hook, tmp_path: Path
) -> None:
    """SIGKILL between the answer and the log: it is sent again, with the same id, by which the receiver knows it."""
    with receiving() as receiver:
        added = hook(receiver.url())
        _reserve(store, event, 1)
        (delivery,) = follow(store, event)
        arguments = [sys.executable, "-c", _KILLED, settings.state_url, event.id, str(delivery)]
        assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
        assert receiver.ids() == [str(delivery)]
        attempt = _once_lapsed(store, event, delivery)
        outcome, _ = Poster(allow_private=True).post(attempt)
        store.webhooks.end(event.id, attempt, outcome)
    assert receiver.ids() == [str(delivery)] * 2
    assert statuses(store, event, added) == {"delivered": 1}


def test_one_that_comes_back_too_late_decides_nothing(store: Store, event: Event, hook: Hook) -> None:
    """Its attempt counted as lost, and another is under way: that it failed is not written. That it arrived is."""
    hook()
    _reserve(store, event, 1)
    (delivery,) = follow(store, event)
    late = begin(store, event, delivery, lease_ms=1)
    another = _once_lapsed(store, event, delivery)
    store.webhooks.end(event.id, late, Outcome(500, again_ms=None))
    (shown,) = store.webhooks.deliveries(event.id, delivery.hook, 9).deliveries
    assert (shown.status, shown.attempts) == ("pending", 0)
    store.webhooks.end(event.id, late, Outcome(200))
    (shown,) = store.webhooks.deliveries(event.id, delivery.hook, 9).deliveries
    assert shown.status == "delivered"
    store.webhooks.end(event.id, another, Outcome(500, again_ms=0))
    assert store.webhooks.deliveries(event.id, delivery.hook, 9).deliveries == [shown]


def test_it_waits_for_its_time(store: Store, event: Event, hook: Hook) -> None:
    """A message that failed is nobody's until it is due; then it is given up after the last attempt."""
    added = hook()
    _reserve(store, event, 1)
    (delivery,) = follow(store, event)
    attempt = begin(store, event, delivery)
    store.webhooks.end(event.id, attempt, Outcome(None, "timeout", again_ms=3_600_000))
    (shown,) = store.webhooks.deliveries(event.id, added.id, 9).deliveries
    assert (shown.status, shown.attempts, shown.error) == ("pending", 1, "timeout")
    assert shown.next_attempt_at is not None
    assert 0 <= shown.next_attempt_at - attempt.now_ms - 3_600_000 < 60_000
    assert not follow(store, event)
    assert store.webhooks.begin(event.id, delivery) is None
    store.webhooks.replay(event.id, delivery)
    store.webhooks.end(event.id, begin(store, event, delivery), Outcome(500, again_ms=None))
    (shown,) = store.webhooks.deliveries(event.id, added.id, 9).deliveries
    assert (shown.status, shown.attempts, shown.status_code, shown.next_attempt_at) == ("failed", 2, 500, None)
    assert shown.ended_at is not None
    assert not follow(store, event)


def test_the_last_attempt_is_the_last(store: Store, broker: ReservationBroker, event: Event, hook: Hook) -> None:
    """Eleven of them, then it has failed; asked for again, it begins anew, as the same message."""
    with receiving(500) as receiver, sending(store, broker):
        added = hook(receiver.url(), ["seat.reserved"])
        _reserve(store, event, 1)
        wait_for(lambda: statuses(store, event, added) == {"failed": 1})
        assert len(receiver.posts) == 11
        receiver.answer = lambda _: 200
        store.webhooks.replay(event.id, DeliveryId.parse(receiver.posts[0].id))
        wait_for(lambda: _all_told(store, event, added, 1))
    assert set(receiver.ids()) == {receiver.posts[0].id}
    assert len(receiver.posts) == 12


def test_410_disables(store: Store, broker: ReservationBroker, event: Event, hook: Hook) -> None:
    """The message has failed, and no other is made; enabled again, what happens from then on is told."""
    with receiving(410) as receiver, sending(store, broker):
        added = hook(receiver.url(), ["seat.reserved"])
        _reserve(store, event, 1)
        wait_for(lambda: not store.webhooks.get(event.id, added.id).enabled)
        assert store.webhooks.get(event.id, added.id).disabled == "gone"
        assert statuses(store, event, added) == {"failed": 1}
        _reserve(store, event, 2)
        follow(store, event)
        receiver.answer = lambda _: 200
        store.webhooks.enable(event.id, added.id, enabled=True)
        _reserve(store, event, 3)
        wait_for(lambda: statuses(store, event, added) == {"failed": 1, "delivered": 1})
    assert [post.json["data"]["seat"] for post in receiver.posts] == [f"{event.id}-1", f"{event.id}-3"]


def test_what_is_pending_waits_while_it_is_off(store: Store, event: Event, hook: Hook) -> None:
    """And is sent once it is on; by request it can be off, too."""
    added = hook()
    _reserve(store, event, 1)
    (delivery,) = follow(store, event)
    off = store.webhooks.enable(event.id, added.id, enabled=False)
    assert (off.enabled, off.disabled) == (False, "by-request")
    assert store.webhooks.begin(event.id, delivery) is None
    assert not follow(store, event)
    on = store.webhooks.enable(event.id, added.id, enabled=True)
    assert (on.enabled, on.disabled) == (True, None)
    begin(store, event, delivery)


def test_one_that_has_failed_for_days_is_disabled(store: Store, event: Event, hook: Hook) -> None:
    """When another message is given up, and nothing has arrived for three days."""
    added = hook()
    _reserve(store, event, 1, 2)
    first, second = follow(store, event)
    store.webhooks.end(event.id, begin(store, event, first), Outcome(500))
    assert store.webhooks.get(event.id, added.id).enabled
    since = int(str(store.client.hget(keys.webhooks(event.id), f"{added.id}:failing")))
    store.client.hset(keys.webhooks(event.id), f"{added.id}:failing", str(since - 3 * 86_400_000))
    assert store.webhooks.end(event.id, begin(store, event, second), Outcome(500)).disabled == "failing"
    assert store.webhooks.get(event.id, added.id).disabled == "failing"


def test_one_that_arrives_ends_the_failing(store: Store, event: Event, hook: Hook) -> None:
    """Where nothing arrives, one message is tried at a time; then as many as ever."""
    added = hook()
    _reserve(store, event, *range(1, 9))
    claimed = follow(store, event)
    assert len(claimed) == AT_A_TIME
    attempts = [begin(store, event, delivery) for delivery in claimed]
    ends = [store.webhooks.end(event.id, attempt, Outcome(500, again_ms=3_600_000)) for attempt in attempts]
    assert [len(end.claimed) for end in ends] == [0, 0, 0, 1]
    assert not follow(store, event)
    (probe,) = ends[-1].claimed
    assert len(store.webhooks.end(event.id, begin(store, event, probe), Outcome(200)).claimed) == 3
    assert not store.client.hexists(keys.webhooks(event.id), f"{added.id}:failing")


def test_one_that_is_slow_keeps_nobody_else_waiting(
    store: Store, broker: ReservationBroker, event: Event, hook: Hook
) -> None:
    """It has a few threads, and the others the rest."""
    let = threading.Event()

    def wait(_: Post) -> int:
        let.wait(20)
        return 200

    with receiving() as slow, receiving() as quick, sending(store, broker, threads=AT_A_TIME + 1):
        slow.answer = wait
        hook(slow.url(), ["seat.reserved"])
        swift = hook(quick.url(), ["seat.reserved"])
        _reserve(store, event, *range(1, 13))
        wait_for(lambda: _all_told(store, event, swift, 12))
        assert len(slow.posts) == AT_A_TIME
        let.set()
        wait_for(lambda: len(slow.posts) == 12)


def test_a_stream_that_does_not_go_back_so_far(store: Store, event: Event, hook: Hook) -> None:
    """What is missing is counted, the rest is told, and it goes on."""
    added = hook()
    _reserve(store, event, 1, 2)
    store.client.xtrim(keys.changes(event.id), maxlen=1, approximate=False)
    found = store.webhooks.follow([event.id])[event.id]
    assert (found.missed, len(found.claimed)) == (3, 1)
    assert store.webhooks.follow([event.id])[event.id].missed == 0
    _reserve(store, event, 3)
    store.client.delete(keys.changes(event.id))
    assert store.webhooks.follow([event.id])[event.id].missed == 2
    _reserve(store, event, 4)
    assert store.webhooks.follow([event.id])[event.id].missed == 0
    assert statuses(store, event, added) == {"pending": 2}


def test_what_was_missed_is_counted(store: Store, broker: ReservationBroker, event: Event, hook: Hook) -> None:
    """For whoever watches the service."""
    hook()
    _reserve(store, event, 1)
    store.client.delete(keys.changes(event.id))
    before = metrics.REGISTRY.get_sample_value("reservation_webhook_missed_total") or 0
    Sender(store, broker, Poster(allow_private=True)).follow()
    assert metrics.REGISTRY.get_sample_value("reservation_webhook_missed_total") == before + 2


def test_what_is_over_is_dropped(store: Store, event: Event, hook: Hook) -> None:
    """By age all of it; by number what has ended."""
    added = hook()
    _reserve(store, event, *range(1, 5))
    for delivery in follow(store, event)[:3]:
        store.webhooks.end(event.id, begin(store, event, delivery), Outcome(200))
    keyed, said = store.webhooks._following(event.id, [added.id], claim=True)
    store.scripts.run("follow_event", keyed, [*said[:2], 2, *said[3:]])
    assert statuses(store, event, added) == {"delivered": 1, "pending": 1}
    oldest = store.webhooks.deliveries(event.id, added.id, 9).deliveries[-1]
    short = Webhooks(store.scripts, kept_ms=1)
    wait_for(lambda: short.follow([event.id]) and not statuses(store, event, added))
    assert not store.client.exists(*keys.webhook(event.id, added.id))
    with pytest.raises(NotFound):
        store.webhooks.replay(event.id, DeliveryId.parse(oldest.id))


def test_pages_of_the_log(store: Store, event: Event, hook: Hook) -> None:
    """The newest first, none twice; of one status, if asked."""
    added = hook()
    _reserve(store, event, *range(1, 8))
    for delivery in follow(store, event)[:2]:
        store.webhooks.end(event.id, begin(store, event, delivery), Outcome(200))
    seen, after = [], None
    while True:
        page = store.webhooks.deliveries(event.id, added.id, 3, after)
        seen += [one.id for one in page.deliveries]
        if page.next_cursor is None:
            break
        after = DeliveryId.parse(page.next_cursor)
    assert len(seen) == len(set(seen)) == 7
    assert sorted(seen, key=lambda one: tuple(map(int, one.split("-")[1:])), reverse=True) == seen
    done = store.webhooks.deliveries(event.id, added.id, 9, status="delivered")
    assert [one.id for one in done.deliveries] == seen[-2:]
    assert done.next_cursor is None
    assert len(store.webhooks.deliveries(event.id, added.id, 9, status="failed").deliveries) == 0
    with pytest.raises(NotFound):
        store.webhooks.deliveries(event.id, added.id, 3, DeliveryId(added.id, "1767225600000-0"))


def test_removed_is_removed(store: Store, event: Event, hook: Hook) -> None:
    """With its messages; the last one with all that was kept about the event."""
    first, second = hook(), hook()
    _reserve(store, event, 1)
    claimed = follow(store, event)
    attempt = begin(store, event, next(delivery for delivery in claimed if delivery.hook == first.id))
    store.webhooks.remove(event.id, first.id)
    assert store.webhooks.end(event.id, attempt, Outcome(500, again_ms=0)).claimed == []
    assert not store.client.exists(*keys.webhook(event.id, first.id))
    assert [found.id for found in store.webhooks.of_event(event.id)] == [second.id]
    with pytest.raises(NotFound):
        store.webhooks.remove(event.id, first.id)
    store.webhooks.remove(event.id, second.id)
    assert not store.client.exists(keys.webhooks(event.id))
    assert store.webhooks.follow([event.id]) == {}


def test_an_event_has_so_many_at_most(store: Store, event: Event, hook: Hook) -> None:
    """And there is none of an event that there is not."""
    for _ in range(MOST_WEBHOOKS):
        hook()
    with pytest.raises(TooManyWebhooks):
        hook()
    with pytest.raises(NotFound):
        store.webhooks.create("aaaaaaaaaa", "https://hooks.example/", TYPES)


def test_a_request_that_is_sent_again_adds_one(store: Store, event: Event) -> None:
    """With the same secret, and id."""
    made = []
    for _ in range(2):
        once = Once.of("caller", "/events/{event_id}/webhooks", "key", "content", 60_000, event.id)
        made.append(store.webhooks.create(event.id, "https://hooks.example/", TYPES, once=once))
    assert made[0] == made[1]
    assert once.replayed
    assert len(store.webhooks.of_event(event.id)) == 1


def test_nothing_is_done_for_events_without_webhooks(store: Store, settings: Settings, event: Event) -> None:
    """Nothing is written beside their changes, and nobody looks at them."""
    before = set(store.client.scan_iter("*webhook*"))
    _reserve(store, event, 1)
    assert store.webhooks.events() == []
    assert set(store.client.scan_iter("*webhook*")) == before == set()


def test_an_event_that_the_index_lost_is_found(
    store: Store, broker: ReservationBroker, event: Event, hook: Hook
) -> None:
    """In a cluster it is on another node, which may fail."""
    hook()
    store.client.delete(keys.WEBHOOK_EVENTS)
    Sender(store, broker, Poster(allow_private=True)).follow()
    assert store.webhooks.events() == [event.id]


def test_workers_of_seats_take_none_of_it(queue: Queue, broker: ReservationBroker) -> None:
    """It would stop them while it waits for strangers."""
    assert QUEUE not in queue.broker.queues
    assert set(broker.queues) == {QUEUE}


def test_a_job_that_fails_by_itself_is_told(
    make_settings: Callable[..., Settings], store: Store, event: Event, user: str, hook: Hook
) -> None:
    """A worker that comes too late fails it, and so does the sweeper, each job once."""
    added = hook(types=["job.failed"])
    hasty = Store.connect(make_settings(hold_job_deadline=0.001, reserve_job_deadline=0.001), connections=2)
    seats = [SeatId(event.id, n) for n in (1, 2)]
    buyer = Buyer(store, user)
    jobs = [JobId.new(event.id) for _ in range(3)]
    hasty.seats.accept_hold(seats[0], user, jobs[0])
    buyer.hold(seats[1])
    hasty.seats.accept_reserve(seats[1], user, jobs[1])
    wait_for(lambda: hasty.seats.hold(seats[0], user, jobs[0]).code == Code.DEADLINE_PASSED)
    wait_for(lambda: hasty.seats.reserve(seats[1], user, jobs[1]).code == Code.DEADLINE_PASSED)
    hasty.seats.fail(seats[0], user, jobs[0], Code.DEADLINE_PASSED)
    claimed = follow(store, event)
    bodies = [begin(store, event, delivery).body.decode() for delivery in claimed]
    assert [body.count("deadline-passed") for body in bodies] == [1, 1]
    assert [str(job) in body for job, body in zip(jobs, bodies, strict=False)] == [True, True]
    assert store.client.pttl(keys.failures(event.id)) > 0
    assert statuses(store, event, added) == {"pending": 2}
    assert store.changes.since(event.id, 0, 10).changes is not None


def test_a_failed_job_about_several_seats(store: Store, event: Event, user: str, hook: Hook) -> None:
    """Is one message, which names them all."""
    hook(types=["job.failed"])
    job, seats = JobId.new(event.id), [SeatId(event.id, n) for n in (4, 5)]
    store.seats.accept_hold(seats, user, job)
    store.seats.fail(seats, user, job, Code.INTERNAL_ERROR)
    (delivery,) = follow(store, event)
    data = json.loads(begin(store, event, delivery).body)["data"]
    assert (data["seat"], data["seats"]) == (str(seats[0]), [str(seat) for seat in seats])


def test_a_reservation_that_is_cancelled_is_told(store: Store, event: Event, buyer: Buyer, hook: Hook) -> None:
    """Of each seat, under a type of its own."""
    added = hook(types=["seat.cancelled"])
    buyer.hold(SeatId(event.id, 1))
    buyer.reserve(SeatId(event.id, 1))
    store.seats.cancel(SeatId(event.id, 1), buyer.user, buyer.user)
    (delivery,) = follow(store, event)
    message = json.loads(begin(store, event, delivery).body)
    assert (message["type"], message["data"]["seat"]) == ("seat.cancelled", f"{event.id}-1")
    assert message["data"]["sequence"] == int(changes(store, event.id)[-1]["seq"])
    assert statuses(store, event, added) == {"pending": 1}
