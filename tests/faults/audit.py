"""Holds what clients were told against what Redis has, once the load has settled and all faults are healed.

The promises: 1, no seat has two owners; 2, every accepted job ends, and one that failed had no effect;
3, the change stream tells the truth, and every set says what the seats say.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from reservation import keys
from reservation.events import _IDLE_GRACE_MS
from reservation.ids import SeatId
from reservation.store import Store
from tests.faults.history import Op
from tests.faults.record import Job, Record

#: How long after its deadline a job may end, ms.
JOB_LATE_MS = 10_000
#: How long an event may stay among the active ones beyond its grace, ms: some passes of the sweeper.
IDLE_LATE_MS = 10_000
#: How far a change's time may lie behind the time by which its script decided, ms: before Redis 7.2 each
#: command of a script read the clock anew.
CLOCK_MS = 50

#: What may be told of a seat that is reserved, whoever asks; None is no answer, and `failed` no verdict.
_OF_RESERVED = {"Reserved", "taken", "seat-reserved", "reserved-already", "accepted", "failed", None}


class Violation(NamedTuple):
    """A promise that was broken, and where it shows."""

    promise: int
    text: str


class Change(NamedTuple):
    """An entry of the change stream; `at` is the time in its id, epoch ms."""

    at: int
    seq: int
    seat: str
    cause: str
    actor: str
    job: str


@dataclass(frozen=True)
class Snapshot:
    """All of one event at one moment."""

    now: int
    id: str
    fields: dict[str, str]
    members: set[str]
    seats: dict[str, dict[str, str]]
    locks: dict[str, str | None]
    available: dict[str, float]
    holds: dict[str, float]
    holders: dict[str, dict[str, float]]
    buyers: dict[str, dict[str, float]]
    jobs: list[str]
    changes: list[Change]
    touched: float | None

    def ends(self, seat: str) -> int:
        """When the seat's hold ends, epoch ms; 0 if it has none."""
        fields = self.seats[seat]
        if fields.get("status") != "On hold":
            return 0
        return max(int(fields.get("expiresAt", 0)), int(fields.get("reservingUntil", 0)))

    @classmethod
    def of(cls, store: Store, record: Record, event_id: str) -> "Snapshot":
        """Reads it, in one transaction. Raises redis.RedisError."""
        seats = [SeatId(event_id, number) for number in range(1, record.events[event_id] + 1)]
        users = sorted(set(record.users))
        with store.client.pipeline(transaction=True) as pipe:
            pipe.time()
            pipe.hgetall(keys.event(event_id))
            pipe.smembers(keys.seats(event_id))
            pipe.mget([keys.lock(seat) for seat in seats])
            pipe.zrange(keys.jobs(event_id), 0, -1)
            pipe.xrange(keys.changes(event_id))
            pipe.zscore(keys.ACTIVE, event_id)
            of_users = [of(event_id, user) for of in (keys.holder, keys.buyer) for user in users]
            for key in (keys.available(event_id), keys.holds(event_id), *of_users):
                pipe.zrange(key, 0, -1, withscores=True)
            for seat in seats:
                pipe.hgetall(keys.seat(seat))
            reply: list[Any] = pipe.execute()
        (seconds, micros), fields, members, locks, jobs, stream, touched, available, holds, *rest = reply
        names = [str(seat) for seat in seats]
        return cls(
            now=seconds * 1000 + micros // 1000,
            id=event_id,
            fields=fields,
            members=set(members),
            seats=dict(zip(names, rest[2 * len(users) :], strict=True)),
            locks=dict(zip(names, locks, strict=True)),
            available=dict(available),
            holds=dict(holds),
            holders={user: dict(held) for user, held in zip(users, rest, strict=False)},
            buyers={user: dict(bought) for user, bought in zip(users, rest[len(users) :], strict=False)},
            jobs=jobs,
            changes=[
                Change(
                    int(id_.split("-")[0]), int(c["seq"]), f"{event_id}-{c['seat']}", c["cause"], c["actor"], c["job"]
                )
                for id_, c in stream
            ],
            touched=touched,
        )


def audit(store: Store, record: Record) -> list[Violation]:
    """Every violation that can be found. Raises redis.RedisError.

    Jobs of which no client knows (the answer was lost) may still be open right after the load: wait until
    `open_jobs` are none, or their deadlines have passed.

    Arguments:
        store: on the state database, with the service's AUDIT_KEY.
        record: of a load that has settled, and that took less time than CHANGES_RETENTION.
    """
    found = [Violation(2, text) for job in record.jobs.values() for text in _not_ended(job)]
    for event_id in record.events:
        snapshot = Snapshot.of(store, record, event_id)
        found += [Violation(1, text) for text in _owners(snapshot, record)]
        found += [Violation(1, text) for text in _second_thoughts(snapshot, record)]
        found += _effects(snapshot, record)
        found += [Violation(3, text) for text in Replay(snapshot, record, store).differences()]
        found += [Violation(3, text) for text in _sets(snapshot)]
    return found


def open_jobs(store: Store, record: Record) -> int:
    """How many jobs have not ended. Raises StateUnavailable."""
    return sum(store.events.load(event_id).open_jobs for event_id in record.events)


def _owners(snapshot: Snapshot, record: Record) -> Iterator[str]:
    """No seat has two owners: who was told that a seat is theirs has it, and nobody else."""
    told, may_have = defaultdict(set), defaultdict(set)
    for job in record.jobs.values():
        if job.outcome in ("reserved", "reserved-already"):
            told[job.seat].add(job.user)
    for seat, ops in record.history.by_seat().items():
        may_have[seat] = {op.user for op in ops if op.kind == "reserve" and op.outcome is None}
    for seat, fields in snapshot.seats.items():
        status, user = fields.get("status"), fields.get("UUID")
        if len(told[seat]) > 1:
            yield f"{seat}: {len(told[seat])} users were told that it is theirs"
        if told[seat] and (status != "Reserved" or user not in told[seat]):
            yield f"{seat}: somebody was told that it is theirs, and it is {status} of {user or 'nobody'}"
        if status == "Reserved" and not told[seat] and user not in may_have[seat]:
            yield f"{seat}: is reserved for {user}, who neither was told so nor can have missed it"


def _second_thoughts(snapshot: Snapshot, record: Record) -> Iterator[str]:
    """A seat of which somebody was told that it is reserved is never anything else."""
    for seat, ops in record.history.by_seat().items():
        told = min((op.return_ms for op in ops if _says_reserved(op) and op.return_ms), default=None)
        if seat not in snapshot.seats or told is None:
            continue
        for op in ops:
            if op.call_ms > told and op.outcome not in _OF_RESERVED:
                yield f"{seat}: told reserved at {told}, and at {op.call_ms} a {op.kind} says {op.outcome}"


def _says_reserved(op: Op) -> bool:
    return op.outcome in ("Reserved", "reserved", "reserved-already", "seat-reserved")


def _not_ended(job: Job) -> Iterator[str]:
    """Every accepted job ends, by its deadline and a little."""
    if job.outcome is None or job.completed_ms is None or job.deadline_ms is None:
        yield f"job {job.id}: never seen to end"
    elif job.completed_ms > job.deadline_ms + JOB_LATE_MS:
        yield f"job {job.id}: ended {job.completed_ms - job.deadline_ms} ms after its deadline"


def _effects(snapshot: Snapshot, record: Record) -> Iterator[Violation]:
    """A job did what its verdict says, once, and nothing else. What ended by itself does not count: any
    job that comes across a hold that is over notes that, under its own id."""
    entries = defaultdict(list)
    for change in snapshot.changes:
        if change.cause != "expired":
            entries[change.job].append((change.seat, change.cause))
    for job in record.jobs.values():
        if job.seat in snapshot.seats and job.outcome is not None:
            due = [(job.seat, job.outcome)] if job.outcome in ("held", "reserved") else []
            if entries[job.id] != due:
                yield Violation(
                    2 if job.outcome == "failed" else 3,
                    f"job {job.id}: {job.outcome} of {job.seat}, and it changed {entries[job.id]}",
                )


@dataclass
class _Seat:
    """A seat in the replay; `expires` and `pinned` are ends of its hold, epoch ms."""

    status: str = "Available"
    actor: str = ""
    expires: int = 0
    pinned: int = 0

    def surely_held(self, at: int) -> bool:
        """Whether it is on hold at that time, for all that the stream says of it."""
        return self.status == "On hold" and max(self.expires - CLOCK_MS, self.pinned) > at


class Replay:
    """The change stream, carried out.

    A hold ends by itself at a time that the stream does not name: `hold_ms` after its script read the clock,
    which is not later than the entry. And an accepted reserve extends it without an entry; of those only
    the ones count whose job a client knows. So a hold may be taken to be over too early but never too
    late: the limit may be passed unseen at a hold's end, and what is found is no false alarm.
    """

    def __init__(self, snapshot: Snapshot, record: Record, store: Store) -> None:
        self._snapshot = snapshot
        self._record = record
        self._seats = {seat: _Seat() for seat in snapshot.seats}
        self._actors = {user: store.seats._actor(snapshot.id, user) for user in record.users}

    def differences(self) -> Iterator[str]:
        """What cannot have been, and seats that are not as the stream leaves them."""
        seqs, version = [change.seq for change in self._snapshot.changes], self._snapshot.fields.get("version")
        if [str(seq) for seq in seqs] != [str(seq) for seq in range(1, int(version or 0) + 1)]:
            yield f"{self._snapshot.id}: the stream of version {version} has a gap in {seqs}"
        for step in self._steps():
            yield from self._apply(step) if isinstance(step, Change) else self._pin(*step)
        for name, fields in self._snapshot.seats.items():
            seat, actor = self._seats[name], self._actors.get(fields.get("UUID", ""), "")
            if (fields.get("status"), actor) != (seat.status, seat.actor):
                yield f"{name}: is {fields.get('status')} of {actor}; the stream says {seat.status} of {seat.actor}"

    def _steps(self) -> list["Change | tuple[Job, bool]"]:
        """Changes, starts and ends of pins in the order of time. Within a millisecond the end of a pin comes
        first, because its script may then free the seat, and the start last, because there was a hold."""
        pins = {op.job for ops in self._record.history.by_seat().values() for op in ops if op.outcome == "pinned"}
        steps: list[tuple[int, int, int, Change | tuple[Job, bool]]]
        steps = [(change.at, 1, change.seq, change) for change in self._snapshot.changes]
        for index, job in enumerate(self._record.jobs.values()):
            if job.id in pins and job.seat in self._seats:
                steps.append((job.accepted_ms, 2, index, (job, True)))
                if job.outcome == "failed" and job.completed_ms is not None:
                    steps.append((job.completed_ms, 0, index, (job, False)))
        return [step for *_, step in sorted(steps, key=lambda entry: entry[:3])]

    def _pin(self, job: Job, starts: bool) -> Iterator[str]:
        seat = self._seats[job.seat]
        if not starts:
            seat.pinned = 0
        elif seat.status == "On hold" and seat.actor == self._actors[job.user]:
            seat.pinned = job.deadline_ms or 0
        elif seat.status != "Reserved":  # which it may have become within the millisecond
            yield f"{job.seat}: job {job.id} was accepted for a seat that is {seat.status} of {seat.actor}"

    def _apply(self, change: Change) -> Iterator[str]:
        seat = self._seats[change.seat]
        if seat.status != ("Available" if change.cause == "held" else "On hold"):
            yield f"{change}: the seat is {seat.status}"
        if change.cause in ("refreshed", "released", "reserved") and change.actor != seat.actor:
            yield f"{change}: it is on hold for {seat.actor}"
        if change.cause == "expired" and seat.surely_held(change.at):
            yield f"{change}: too early"
        if change.cause in ("held", "refreshed"):
            seat.status, seat.actor, seat.pinned = "On hold", change.actor, 0
            seat.expires = change.at + self._record.hold_ms
        elif change.cause == "reserved":
            seat.status, seat.actor = "Reserved", change.actor
        else:
            seat.status, seat.actor = "Available", ""
        held = sum(seat.actor == change.actor and seat.surely_held(change.at) for seat in self._seats.values())
        if change.cause == "held" and held > self._record.max_held:
            yield f"{change}: the user's {held}th hold; the limit is {self._record.max_held}"


def _sets(snapshot: Snapshot) -> Iterator[str]:
    """Every set of the event says what its seats say, and nothing is left open."""
    by_status = defaultdict(set)
    for name, fields in snapshot.seats.items():
        by_status[fields.get("status")].add(name)
    live = {name for name in snapshot.seats if snapshot.ends(name) > snapshot.now}
    free = {name: float(name.rpartition("-")[2]) for name in by_status["Available"]}
    total = len(snapshot.seats)
    for what, is_, should in (
        ("seats", snapshot.members, set(snapshot.seats)),
        ("totalSeats", snapshot.fields.get("totalSeats"), str(total)),
        ("available", snapshot.available, free),
        ("holds", snapshot.holds, {name: float(snapshot.ends(name)) for name in by_status["On hold"]}),
        ("free + held + reserved", len(free) + len(snapshot.holds) + len(by_status["Reserved"]), total),
        ("jobs", snapshot.jobs, []),
        ("locks", {n: u for n, u in snapshot.locks.items() if u}, {n: snapshot.seats[n]["UUID"] for n in live}),
    ):
        if is_ != should:
            yield f"{snapshot.id}: {what} is {is_}, not {should}"
    for user, held in snapshot.holders.items():
        # What is due may be left in there; it counts for nothing.
        is_ = {name: ends for name, ends in held.items() if ends > snapshot.now}
        should = {name: float(snapshot.ends(name)) for name in live if snapshot.seats[name]["UUID"] == user}
        if is_ != should:
            yield f"{snapshot.id}: the holds of {user} are {is_}, not {should}"
        is_ = snapshot.buyers[user]
        sold = {name: snapshot.seats[name] for name in by_status["Reserved"]}
        should = {name: float(seat.get("reservedAt", 0)) for name, seat in sold.items() if seat["UUID"] == user}
        if is_ != should:
            yield f"{snapshot.id}: the reservations of {user} are {is_}, not {should}"
    idle = not snapshot.holds and not snapshot.jobs
    if idle and snapshot.touched and snapshot.now - snapshot.touched > _IDLE_GRACE_MS + IDLE_LATE_MS:
        yield f"{snapshot.id}: is idle, and still among the active events"
