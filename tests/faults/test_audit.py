"""The audit finds each kind of wrong that is planted in what a real load left on a real server, and nothing else.

The load runs once. Its service is stopped then, so that nobody repairs what is planted, and each test gets
Redis and the record as they were.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import uuid4

import pytest
import redis

from reservation import keys
from reservation.codes import Code
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, wait_for
from tests.e2e.conftest import Service
from tests.faults.audit import IDLE_LATE_MS, JOB_LATE_MS, Snapshot, _sets, audit, open_jobs
from tests.faults.history import History, Op, now_ms
from tests.faults.load import Load, users
from tests.faults.record import Call, CallKind, Job, Record

HOLD_MS, MAX_HOLD_MS, DEADLINE_MS = 1_000, 1_500, 15_000
#: What the load has to have met with before it ends: that there is nothing to find says little otherwise.
MET = {
    *(("hold", answer) for answer in ("202", "409 seat-held", "409 seat-reserved")),
    *(("reserve", answer) for answer in ("202", "403 not-holder", "409 not-on-hold", "409 seat-reserved")),
    *(("refresh", answer) for answer in ("200", "403 not-holder", "409 not-on-hold", "409 seat-reserved")),
    *(("release", answer) for answer in ("204", "403 not-holder", "409 seat-reserved")),
    *(("cancel", answer) for answer in ("204", "403 not-owner", "409 not-reserved")),
    ("refresh", "409 hold-ceiling"),
    *((kind, "200") for kind in ("read", "list", "status")),
}


class Left(NamedTuple):
    """What the load left behind."""

    record: Record
    keys: dict[bytes, bytes]


@pytest.fixture(scope="module")
def left(redis_server: EmbeddedRedis) -> Iterator[Left]:
    """A load of some seconds, and what came of it when all its jobs had ended and all holds were over."""
    store = connect(redis_server, hold_ms=HOLD_MS)
    # What came last may have undone what was waited for.
    record = next(
        record for seed in range(1, 9) if is_whole(store, record := put_under_load(redis_server, store, seed))
    )
    with redis.Redis.from_url(redis_server.url()) as raw:
        dumps = {name: cast(bytes | None, raw.dump(name)) for name in cast(list[bytes], raw.keys())}
        # A call's record may have lapsed meanwhile.
        yield Left(record, {name: value for name, value in dumps.items() if value is not None})
    store.servers.close()


def put_under_load(server: EmbeddedRedis, store: Store, seed: int) -> Record:
    """Runs the load until it has met with all that it has to."""
    store.client.flushall()
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        service = Service(
            Path(folder),
            REDIS_URL=server.url(),
            WORKER_PROCESSES="1",
            MAX_HELD_SEATS="3",
            LOCK_EXPIRATION_TIME=str(HOLD_MS / 1000),
            MAX_HOLD_TIME=str(MAX_HOLD_MS / 1000),
        )
        try:
            events = {service.create(12): 12 for _ in range(2)}
            record = Record(events, users(4), max_held=3, hold_ms=HOLD_MS, max_hold_ms=MAX_HOLD_MS)
            with Load([str(service.http.base_url)], record, seed=seed, deadline_ms=DEADLINE_MS, last_s=24) as load:
                wait_for(
                    lambda: load.traffic.answers.keys() >= MET and met_groups(record) and any(standing(record)), 30
                )
            assert load.settle(10)
            wait_for(lambda: all(store.events.load(event_id).idle for event_id in record.events))
        finally:
            service.close()
    return record


def is_whole(store: Store, record: Record) -> bool:
    """Whether there is something to be spoiled in each way."""
    try:
        scene = Scene(store, record)
        scene.job("held")
        scene.group()
    except StopIteration:
        return False
    return True


def met_groups(record: Record) -> bool:
    """Whether several seats were held, reserved, refreshed, released and cancelled at once, and some in vain."""
    jobs = {job.outcome for job in list(record.jobs.values()) if len(job.seats) > 1}
    calls = {call.outcome for call in list(record.calls.values()) if len(call.seats) > 1}
    return jobs >= {"held", "reserved"} and calls >= {"refreshed", "released", "cancelled", "not-owner"}


def standing(record: Record) -> Iterator[Op]:
    """Sales of one seat that their users cannot have cancelled again."""
    for ops in record.history.by_seat().values():
        sales = Counter(op.user for op in ops if op.outcome == "reserved")
        sales.subtract(op.user for op in ops if op.kind == "cancel" and op.outcome in ("cancelled", None))
        yield from (op for op in ops if op.outcome == "reserved" and sales[op.user] > 0)


def connect(server: EmbeddedRedis, *, hold_ms: int) -> Store:
    settings = Settings(_env_file=None, redis_url=server.url(), lock_expiration_time=hold_ms / 1000)  # type: ignore[call-arg]  # pydantic-settings takes more than mypy sees
    return Store.connect(settings, connections=4)


class Scene:
    """What was left, and the means to spoil it."""

    def __init__(self, store: Store, record: Record) -> None:
        self.store = store
        self.record = record
        self.redis = store.client
        self.event = self.sold.event
        self.user = record.users[0]
        self.buyer = Buyer(store, self.user)

    def job(self, outcome: str) -> Job:
        """A job of one seat of the event that ended so."""
        return next(
            job
            for job in self.record.jobs.values()
            if job.outcome == outcome and len(job.seats) == 1 and job.seats[0].startswith(self.event)
        )

    def group(self) -> Job:
        """A job that held several seats of the event, all of them anew."""
        entries = [fields["job"] for _, fields in cast(Any, self.redis.xrange(keys.changes(self.event)))]
        return next(
            job
            for job in self.record.jobs.values()
            if job.outcome == "held" and entries.count(job.id) == len(job.seats) > 1
        )

    @cached_property
    def sale(self) -> Op:
        """A sale of one seat that stands."""
        return next(standing(self.record))

    @property
    def sold(self) -> SeatId:
        return SeatId.parse(self.sale.seat)

    @property
    def free(self) -> list[SeatId]:
        return [SeatId.parse(seat) for seat in self.store.events.list_free(self.event).ids or []]

    def entries(self, request_id: str) -> int:
        """How many changes a request made."""
        streams = (cast(Any, self.redis.xrange(keys.changes(event_id))) for event_id in self.record.events)
        fields = [fields for stream in streams for _, fields in stream if fields["cause"] != "expired"]
        return sum(entry["request"] == request_id for entry in fields)

    def hold(self, seats: int = 1) -> list[SeatId]:
        """Has the user hold some seats."""
        chosen = self.free[:seats]
        for seat in chosen:
            assert self.buyer.hold(seat).code == Code.HELD
        return chosen

    def accept_reserve(self, seat: SeatId) -> JobId:
        """Accepts a reserve of a held seat, which the client has seen."""
        at, job_id = now_ms(), JobId.new(seat.event)
        self.store.seats.accept_reserve(seat, self.user, job_id)
        self.add_pin(str(seat), str(job_id), at)
        return job_id

    def add_pin(self, seat: str, job_id: str, at: int) -> Job:
        """Notes an accepted reserve that failed."""
        job = Job(job_id, "reserve", (seat,), self.user, at, at + DEADLINE_MS, at, now_ms(), "failed")
        self.record.jobs[job_id] = job
        self.record.history.add(Op("pin", seat, self.user, at, now_ms(), "pinned", job=job_id))
        return job

    def set(self, seat: SeatId, **fields: str) -> None:
        self.redis.hset(keys.seat(seat), mapping=cast(Any, fields))

    def change(self, seat: SeatId, cause: str, actor: str = "somebody") -> None:
        """Adds an entry to the change stream."""
        seq = self.redis.hincrby(keys.event(seat.event), "version", 1)
        entry = {"seq": seq, "seat": seat.number, "cause": cause, "actor": actor, "job": "", "request": ""}
        self.redis.xadd(keys.changes(seat.event), cast(Any, entry))


@pytest.fixture
def scene(left: Left, redis_server: EmbeddedRedis) -> Iterator[Scene]:
    """Everything as it was left, and holds that last."""
    store = connect(redis_server, hold_ms=60_000)
    store.client.flushall()
    with redis.Redis.from_url(redis_server.url()) as raw, raw.pipeline() as pipe:
        for name, value in left.keys.items():
            pipe.restore(name, 0, value)
        pipe.execute()
    ops = (replace(op) for ops in left.record.history.by_seat().values() for op in ops)
    jobs = {job_id: replace(job) for job_id, job in left.record.jobs.items()}
    calls = {request_id: replace(call) for request_id, call in left.record.calls.items()}
    yield Scene(store, replace(left.record, history=History(ops), jobs=jobs, calls=calls))
    store.servers.close()


def sell_to_another(scene: Scene) -> None:
    scene.set(scene.sold, UUID=str(uuid4()))


def take_back(scene: Scene) -> None:
    scene.set(scene.sold, UUID="", status="Available")


def tell_two(scene: Scene) -> None:
    # Somebody who cannot have cancelled it.
    scene.record.history.add(replace(scene.sale, user=str(uuid4())))


def block_without_a_word(scene: Scene) -> None:
    seat = scene.free[0]
    scene.set(seat, status="Reserved", blocked="1")
    scene.store.client.zrem(keys.available(seat.event), str(seat))


def sell_without_a_word(scene: Scene) -> None:
    scene.set(scene.free[0], UUID=str(uuid4()), status="Reserved")


def tell_otherwise_later(scene: Scene) -> None:
    at = now_ms()
    scene.record.history.add(Op("read", str(scene.sold), scene.user, at, at, "Available"))


def cancel_for_another(scene: Scene) -> None:
    scene.change(scene.sold, "cancelled")


def cancel_what_is_free(scene: Scene) -> None:
    scene.change(scene.free[0], "cancelled", actor="")


def invent_a_change(scene: Scene) -> None:
    scene.change(scene.free[0], "moved")


def leave_out(scene: Scene) -> None:
    """Of a group, one seat: as if the job had had one more."""
    job = scene.group()
    entries = [fields for _, fields in cast(Any, scene.redis.xrange(keys.changes(scene.event)))]
    last = max(index for index, fields in enumerate(entries) if fields["job"] == job.id)
    before = {fields["seat"]: fields for fields in entries[:last]}
    # One that the user had then is no wrong: a group's job leaves that as it is.
    theirs = {number for number, fields in before.items() if fields["actor"] == entries[last]["actor"]}
    seats = (f"{scene.event}-{number}" for number in range(1, 13) if str(number) not in theirs)
    job.seats = (*job.seats, next(seat for seat in seats if seat not in job.seats))


def tear_apart(scene: Scene) -> None:
    """A change of another between those of a group."""
    stream, job = keys.changes(scene.event), scene.group()
    entries = cast(Any, scene.redis.xrange(stream))
    last = max(index for index, (_, fields) in enumerate(entries) if fields["job"] == job.id)
    swap = {last: last + 1, last + 1: last}
    scene.redis.delete(stream)
    for index, (id_, _) in enumerate(entries):
        _, fields = entries[swap.get(index, index)]
        scene.redis.xadd(stream, {**fields, "seq": index + 1}, id=id_)


def leave_out_of_a_call(kind: CallKind) -> Callable[[Scene], None]:
    """One seat of those that a request was about, which was answered."""

    def plant(scene: Scene) -> None:
        call = next(
            call
            for request_id, call in scene.record.calls.items()
            if call.kind == kind and len(call.seats) > 1 and scene.entries(request_id) == len(call.seats)
        )
        event_id = SeatId.parse(call.seats[0]).event
        call.seats = (*call.seats, next(f"{event_id}-{n}" for n in range(1, 13) if f"{event_id}-{n}" not in call.seats))

    return plant


def change_by_a_refused_call(scene: Scene) -> None:
    request_id = next(id_ for id_, call in scene.record.calls.items() if scene.entries(id_))
    scene.record.calls[request_id].outcome = "not-holder"


def answer_without_a_change(scene: Scene) -> None:
    scene.record.calls["another"] = Call("cancel", (str(scene.sold),), scene.sale.user, "cancelled")


def leave_unended(scene: Scene) -> None:
    scene.job("held").outcome = None


def end_late(scene: Scene) -> None:
    job = scene.job("held")
    job.completed_ms = cast(int, job.deadline_ms) + JOB_LATE_MS + 1


def fail_with_effect(scene: Scene) -> None:
    scene.job("held").outcome = "failed"


def promise_without_effect(scene: Scene) -> None:
    scene.record.jobs["another"] = replace(scene.job("held"), id="another")


def lose_a_change(scene: Scene) -> None:
    stream = keys.changes(scene.event)
    first = cast(Any, scene.redis.xrange(stream, count=1))[0][0]
    scene.redis.xdel(stream, first)


def lose_the_last_change(scene: Scene) -> None:
    scene.redis.hincrby(keys.event(scene.event), "version", 1)


def pass_the_limit(scene: Scene) -> None:
    scene.hold(scene.record.max_held + 1)


def hold_what_is_sold(scene: Scene) -> None:
    scene.change(scene.sold, "held")


def refresh_for_another(scene: Scene) -> None:
    scene.change(scene.hold()[0], "refreshed")


def end_a_hold_early(scene: Scene) -> None:
    for cause in ("held", "expired"):
        scene.change(scene.free[0], cause)


def end_a_pinned_hold(scene: Scene) -> None:
    seat = scene.hold()[0]
    scene.record.hold_ms = 0
    job = scene.add_pin(str(seat), "pinned", now_ms())
    job.outcome = "reserved"
    wait_for(lambda: now_ms() > job.accepted_ms)
    scene.change(seat, "expired")


def accept_without_a_hold(scene: Scene) -> None:
    scene.add_pin(str(scene.free[0]), "pinned", now_ms())


def change_unsaid(scene: Scene) -> None:
    scene.set(scene.free[0], status="On hold", UUID=scene.user)


def lose_a_free_seat(scene: Scene) -> None:
    scene.redis.zrem(keys.available(scene.event), str(scene.free[0]))


def offer_a_sold_seat(scene: Scene) -> None:
    scene.redis.zadd(keys.available(scene.event), {str(scene.sold): scene.sold.number})


def lose_a_hold(scene: Scene) -> None:
    scene.redis.zrem(keys.holds(scene.event), str(scene.hold()[0]))


def misdate_a_hold(scene: Scene) -> None:
    scene.redis.zadd(keys.holds(scene.event), {str(scene.hold()[0]): 1})


def lose_a_holder(scene: Scene) -> None:
    scene.redis.zrem(keys.holder(scene.event, scene.user), str(scene.hold()[0]))


def hold_too_many(scene: Scene) -> None:
    scene.redis.zadd(keys.holder(scene.event, scene.user), {str(scene.free[0]): now_ms() + 60_000})


def lose_a_reservation(scene: Scene) -> None:
    scene.redis.zrem(keys.buyer(scene.event, scene.sale.user), str(scene.sold))


def lose_a_lock(scene: Scene) -> None:
    scene.redis.delete(keys.lock(scene.hold()[0]))


def lose_a_seat(scene: Scene) -> None:
    scene.redis.delete(keys.seat(scene.free[0]))


def lose_a_member(scene: Scene) -> None:
    scene.redis.srem(keys.seats(scene.event), str(scene.free[0]))


def miscount(scene: Scene) -> None:
    scene.redis.hset(keys.event(scene.event), "totalSeats", 13)


def leave_open(scene: Scene) -> None:
    scene.store.seats.accept_hold(scene.free[0], scene.user, JobId.new(scene.event))


def stay_active(scene: Scene) -> None:
    scene.redis.zadd(keys.ACTIVE, {scene.event: now_ms() - 61_000 - IDLE_LATE_MS})


@pytest.mark.parametrize(
    ("plant", "promise", "text"),
    [
        (sell_to_another, 1, "somebody was told that it is theirs"),
        (take_back, 1, "somebody was told that it is theirs"),
        (tell_two, 1, "2 users were told"),
        (sell_without_a_word, 1, "neither was told so"),
        (tell_otherwise_later, 1, "a read says Available"),
        (cancel_for_another, 3, "it is of"),
        (cancel_what_is_free, 3, "the seat is Available"),
        (invent_a_change, 3, "the seat is Available"),
        (leave_out, 3, "the last of"),
        (tear_apart, 3, "and it changed"),
        (leave_out_of_a_call("refresh"), 3, "the last of"),
        (leave_out_of_a_call("cancel"), 3, "the last of"),
        (change_by_a_refused_call, 3, "and it changed"),
        (answer_without_a_change, 3, "and it changed []"),
        (leave_unended, 2, "never seen to end"),
        (end_late, 2, "after its deadline"),
        (fail_with_effect, 2, "failed of"),
        (promise_without_effect, 3, "it changed []"),
        (lose_a_change, 3, "has a gap"),
        (lose_the_last_change, 3, "has a gap"),
        (pass_the_limit, 3, "4th hold"),
        (hold_what_is_sold, 3, "the seat is Reserved"),
        (refresh_for_another, 3, "it is of"),
        (end_a_hold_early, 3, "too early"),
        (end_a_pinned_hold, 3, "too early"),
        (accept_without_a_hold, 3, "was accepted for a seat that is Available"),
        (change_unsaid, 3, "the stream says Available"),
        (lose_a_free_seat, 3, "available is"),
        (offer_a_sold_seat, 3, "available is"),
        (lose_a_hold, 3, "holds is"),
        (misdate_a_hold, 3, "holds is"),
        (lose_a_holder, 3, "the holds of"),
        (hold_too_many, 3, "the holds of"),
        (lose_a_reservation, 3, "the reservations of"),
        (lose_a_lock, 3, "locks is"),
        (lose_a_seat, 3, "free + held + reserved + blocked is"),
        (block_without_a_word, 3, "is Blocked"),
        (lose_a_member, 3, "seats is"),
        (miscount, 3, "totalSeats is"),
        (leave_open, 3, "jobs is"),
        (stay_active, 3, "still among the active"),
    ],
)
def test_a_planted_wrong_is_found(scene: Scene, plant: Callable[[Scene], None], promise: int, text: str) -> None:
    """Where there was none before, and under the promise that it breaks."""
    assert audit(scene.store, scene.record) == []
    plant(scene)
    found = audit(scene.store, scene.record)
    assert any(violation.promise == promise and text in violation.text for violation in found), found


def test_a_lock_is_there_for_a_moment_longer(scene: Scene) -> None:
    """Redis's clock has milliseconds, and a key goes with the one after that in which it ends; no later."""
    seat = str(scene.hold()[0])
    snapshot = Snapshot.of(scene.store, scene.record, scene.event)
    for late_ms, wrongs in ((0, 0), (1, 0), (100, 1)):
        then = replace(snapshot, now=snapshot.ends(seat) + late_ms)
        assert sum("locks is" in wrong for wrong in _sets(then)) == wrongs


def test_what_a_client_missed_is_no_wrong(scene: Scene) -> None:
    """A seat that is reserved for a user whose reserve had no answer, and whose job nobody knows."""
    seat = scene.hold()[0]
    scene.record.history.add(Op("reserve", str(seat), scene.user, now_ms()))
    assert scene.buyer.reserve(seat).code == Code.RESERVED
    assert audit(scene.store, scene.record) == []


def test_seats_that_operators_block_are_no_wrong(scene: Scene) -> None:
    """Nor those that they unblock."""
    scene.store.seats.block(scene.free[:2], "")
    scene.store.seats.unblock(scene.free[:1], "")
    assert not audit(scene.store, scene.record)


def test_a_blocked_seat_among_those_given_back_is_no_wrong(scene: Scene) -> None:
    """A hold that ran out, and whose seat was blocked then, is given back as one that is free is."""
    held = scene.hold()
    blocked = [seat for seat in scene.free if seat not in held][:1]
    scene.store.seats.block(blocked, "")
    scene.store.seats.release([*blocked, *held], scene.user, "a request")
    names = tuple(map(str, (*blocked, *held)))
    scene.record.calls["a request"] = Call("release", names, scene.user, "released")
    assert audit(scene.store, scene.record) == []


def test_a_sale_that_was_cancelled_is_no_wrong(scene: Scene) -> None:
    """The seat may be free again, or another's, and nobody knows what a lost cancellation did."""
    called_ms = now_ms()
    scene.record.history.add(Op("cancel", str(scene.sold), scene.sale.user, called_ms))
    assert audit(scene.store, scene.record) == []
    scene.store.seats.cancel(scene.sold, scene.sale.user, scene.sale.user)
    scene.record.history.add(Op("read", str(scene.sold), scene.user, called_ms, now_ms(), "Available"))
    assert audit(scene.store, scene.record) == []


def test_a_cancellation_from_before_excuses_nothing(scene: Scene) -> None:
    """It was over when somebody was told that the seat is reserved."""
    told_ms = now_ms()
    for op in (
        Op("cancel", str(scene.sold), str(uuid4()), told_ms - 9, told_ms - 5, "cancelled"),
        Op("read", str(scene.sold), scene.user, told_ms - 4, told_ms - 2, "Reserved"),
        Op("read", str(scene.sold), scene.user, told_ms, told_ms, "Available"),
    ):
        scene.record.history.add(op)
    assert any("a read says Available" in violation.text for violation in audit(scene.store, scene.record))


def test_a_pin_that_was_taken_back_is_no_wrong(scene: Scene, redis_server: EmbeddedRedis) -> None:
    """The hold was over meanwhile: it ends at once, and not only at the pin's end."""
    brief = Scene(connect(redis_server, hold_ms=50), replace(scene.record, hold_ms=50))
    seat = brief.hold()[0]
    job_id = brief.accept_reserve(seat)
    expires = int(cast(Any, brief.redis.hget(keys.seat(seat), "expiresAt")))
    wait_for(lambda: now_ms() > expires)
    assert brief.store.seats.get(seat).status == "On hold"
    brief.record.jobs[str(job_id)].completed_ms = now_ms()
    assert brief.store.seats.fail(seat, brief.user, job_id, Code.INTERNAL_ERROR).code == Code.INTERNAL_ERROR
    assert brief.store.seats.get(seat).status == "Available"
    assert audit(brief.store, brief.record) == []
    brief.redis.connection_pool.disconnect()


def test_jobs_that_nobody_knows_are_counted(scene: Scene) -> None:
    """So that one can wait for them."""
    assert open_jobs(scene.store, scene.record) == 0
    leave_open(scene)
    assert open_jobs(scene.store, scene.record) == 1
