"""Holds what clients were told against what Redis has, once the load has settled and all faults are healed.

The promises: 1, no seat has two owners; 2, every accepted job ends, and one that failed had no effect;
3, the change stream tells the truth, a group is done to all of its seats or to none, and every set says what the
seats say.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from reservation import keys
from reservation.events import _IDLE_GRACE_MS
from reservation.ids import SeatId
from reservation.store import Store
from tests.faults.history import Op
from tests.faults.record import Call, Job, Record

#: How long after its deadline a job may end, ms.
JOB_LATE_MS = 10_000
#: How long an event may stay among the active ones beyond its grace, ms: some passes of the sweeper.
IDLE_LATE_MS = 10_000
#: How far a change's time may lie behind the time by which its script decided, ms: before Redis 7.2 each
#: command of a script read the clock anew.
CLOCK_MS = 50
#: How long a key may outlast the end that it was given, ms.
_EDGE_MS = 5

#: What may be told of a seat that is reserved, whoever asks; None is no answer, and `failed` no verdict.
_OF_RESERVED = {
    *("Reserved", "taken", "seat-reserved", "reserved-already", "reserved-or-had", "accepted", "let-in"),
    *("cancelled", "not-owner", "unblocked-or-was-not", "spared", "failed", None),
}


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
    request: str


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
    blocked: dict[str, float]
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
            for key in (keys.available(event_id), keys.holds(event_id), keys.blocked(event_id), *of_users):
                pipe.zrange(key, 0, -1, withscores=True)
            for seat in seats:
                pipe.hgetall(keys.seat(seat))
            reply: list[Any] = pipe.execute()
        (seconds, micros), fields, members, locks, jobs, stream, touched, available, holds, blocked, *rest = reply
        names = [str(seat) for seat in seats]
        of_seats = [f | {"status": "Blocked"} if "blocked" in f else f for f in rest[2 * len(users) :]]
        return cls(
            now=seconds * 1000 + micros // 1000,
            id=event_id,
            fields=fields,
            members=set(members),
            seats=dict(zip(names, of_seats, strict=True)),
            locks=dict(zip(names, locks, strict=True)),
            available=dict(available),
            holds=dict(holds),
            blocked=dict(blocked),
            holders={user: dict(held) for user, held in zip(users, rest, strict=False)},
            buyers={user: dict(bought) for user, bought in zip(users, rest[len(users) :], strict=False)},
            jobs=jobs,
            changes=[
                Change(
                    int(id_.split("-")[0]),
                    int(c["seq"]),
                    f"{event_id}-{c['seat']}",
                    *(c[name] for name in ("cause", "actor", "job", "request")),
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
    """No seat has two owners: who was told that a seat is theirs has it, and nobody else; unless they may have
    cancelled it as often as they were told so."""
    told, may_have, owners = defaultdict(set), defaultdict(set), defaultdict(set)
    for seat, ops in record.history.by_seat().items():
        may_have[seat] = {op.user for op in ops if op.kind == "reserve" and op.outcome is None}
        told[seat] = {op.user for op in ops if op.outcome in _SOLD}
        # Of several, and of one that was reserved already, nobody was told that it was reserved anew.
        sold = Counter(op.user for op in ops if op.outcome == "reserved")
        cancelled = Counter(op.user for op in ops if op.kind == "cancel" and op.outcome in ("cancelled", None))
        owners[seat] = {user for user in told[seat] if cancelled[user] < max(sold[user], 1)}
    for seat, fields in snapshot.seats.items():
        status, user = fields.get("status"), fields.get("UUID")
        if len(owners[seat]) > 1:
            yield f"{seat}: {len(owners[seat])} users were told that it is theirs"
        if owners[seat] and (status != "Reserved" or user not in owners[seat]):
            yield f"{seat}: somebody was told that it is theirs, and it is {status} of {user or 'nobody'}"
        if status == "Reserved" and user not in told[seat] | may_have[seat]:
            yield f"{seat}: is reserved for {user}, who neither was told so nor can have missed it"


def _second_thoughts(snapshot: Snapshot, record: Record) -> Iterator[str]:
    """A seat of which somebody was told that it is reserved is never anything else, unless it may have been
    cancelled after that was so."""
    for seat, ops in record.history.by_seat().items():
        told = sorted((op.return_ms, op.call_ms) for op in ops if _says_reserved(op) and op.return_ms)
        if seat not in snapshot.seats or not told:
            continue
        # The latest call among those that had been answered by then.
        asked = list(accumulate((call_ms for _, call_ms in told), max))
        cancels = [op for op in ops if op.kind == "cancel" and op.outcome in ("cancelled", None)]
        for op in ops:
            before = bisect_left(told, (op.call_ms, 0))
            if not before or op.outcome in _OF_RESERVED:
                continue
            since = asked[before - 1]
            if not any(_reaches(cancel, since) and _precedes(cancel, op) for cancel in cancels):
                yield f"{seat}: told reserved at {since}, and at {op.call_ms} a {op.kind} says {op.outcome}"


#: The ends of a reserve by which its user has the seat.
_SOLD = ("reserved", "reserved-already", "reserved-or-had")


def _says_reserved(op: Op) -> bool:
    return op.outcome in ("Reserved", "seat-reserved", "not-owner", *_SOLD)


def _reaches(op: Op, moment_ms: int) -> bool:
    """Whether it may have been done at that moment or later."""
    last = op.until_ms if op.outcome is None else op.return_ms
    return last is None or last >= moment_ms


def _precedes(one: Op, other: Op) -> bool:
    """Whether the one may have been done before the other."""
    return other.return_ms is None or one.call_ms <= other.return_ms


def _not_ended(job: Job) -> Iterator[str]:
    """Every accepted job ends, by its deadline and a little."""
    if job.outcome is None or job.completed_ms is None or job.deadline_ms is None:
        yield f"job {job.id}: never seen to end"
    elif job.completed_ms > job.deadline_ms + JOB_LATE_MS:
        yield f"job {job.id}: ended {job.completed_ms - job.deadline_ms} ms after its deadline"


def _effects(snapshot: Snapshot, record: Record) -> Iterator[Violation]:
    """A job did what its verdict says, once, and nothing else; so did a call that was answered. What ended by itself
    does not count: any script that comes across a hold that is over notes that, under the id that it was given."""
    of_job, of_call = _entries(snapshot)
    for job in record.jobs.values():
        if job.outcome is not None and not snapshot.seats.keys().isdisjoint(job.seats):
            due = job.outcome if job.outcome in ("held", "reserved") else None
            if text := _differs(job.seats, due, of_job[job.id], all_or_some=due is not None):
                promise = 2 if job.outcome == "failed" else 3
                yield Violation(promise, f"job {job.id}: {job.outcome} of {' '.join(job.seats)}, and it {text}")
    for request_id, call in record.calls.items():
        if not snapshot.seats.keys().isdisjoint(call.seats):
            due = _CAUSE[call.kind] if call.outcome is None or call.outcome.startswith(_CAUSE[call.kind]) else None
            sure = call.outcome is not None and call.kind not in _MAY_LEAVE
            if text := _differs(call.seats, due, of_call[request_id], all_or_some=sure and due is not None):
                yield Violation(3, f"request {request_id}: {call.outcome} of {' '.join(call.seats)}, and it {text}")


#: The change that each call makes.
_CAUSE = {
    "refresh": "refreshed",
    "release": "released",
    "cancel": "cancelled",
    "block": "blocked",
    "unblock": "unblocked",
}
#: The calls that leave a seat as it is which is so already.
_MAY_LEAVE = ("release", "block", "unblock")


def _entries(snapshot: Snapshot) -> tuple[dict[str, list[Change]], dict[str, list[Change]]]:
    """What was changed by each job, and by each request that is no job's."""
    of_job: dict[str, list[Change]] = defaultdict(list)
    of_call: dict[str, list[Change]] = defaultdict(list)
    for change in snapshot.changes:
        if change.cause != "expired":
            (of_job[change.job] if change.job else of_call[change.request]).append(change)
    return of_job, of_call


def _differs(seats: Sequence[str], cause: str | None, changes: list[Change], *, all_or_some: bool) -> str | None:
    """How changes are not those of one script about these seats; that there are too few is seen by the replay."""
    changed = [change.seat for change in changes]
    missing = all_or_some and (not changes or (len(seats) == 1 and changed != list(seats)))
    if (
        missing
        or any(change.cause != cause for change in changes)
        or changed != [seat for seat in seats if seat in changed]
        or any(after.seq != before.seq + 1 for before, after in pairwise(changes))
    ):
        return f"changed {[(change.seq, change.seat, change.cause) for change in changes]}"
    return None


@dataclass
class _Seat:
    """A seat in the replay. Times in epoch ms: `since` when it was held, `expires` and `pinned` ends of its hold, the
    latter because of `job`; `cancelled` when a reservation was given back."""

    status: str = "Available"
    actor: str = ""
    since: int = 0
    expires: int = 0
    pinned: int = 0
    job: str = ""
    cancelled: int = 0

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
        last = self._last()
        for step in self._steps():
            if not isinstance(step, Change):
                yield from self._pin(*step)
                continue
            yield from self._apply(step)
            if step.seq in last:
                yield from self._whole(step, *last[step.seq])
        for name, fields in self._snapshot.seats.items():
            seat, actor = self._seats[name], self._actors.get(fields.get("UUID", ""), "")
            if (fields.get("status"), actor) != (seat.status, seat.actor):
                yield f"{name}: is {fields.get('status')} of {actor}; the stream says {seat.status} of {seat.actor}"

    def _steps(self) -> list["Change | tuple[Job, str, bool]"]:
        """Changes, starts and ends of pins in the order of time. Within a millisecond the end of a pin comes
        first, because its script may then free the seat, and the start last, because there was a hold."""
        accepted = {
            (op.job, seat)
            for seat, ops in self._record.history.by_seat().items()
            for op in ops
            if op.kind == "pin"
            if op.outcome in ("pinned", "let-in")
        }
        steps: list[tuple[int, int, int, Change | tuple[Job, str, bool]]]
        steps = [(change.at, 1, change.seq, change) for change in self._snapshot.changes]
        for index, job in enumerate(self._record.jobs.values()):
            for seat in job.seats:
                if (job.id, seat) in accepted and seat in self._seats:
                    steps.append((job.accepted_ms, 2, index, (job, seat, True)))
                    if job.outcome not in ("reserved", "reserved-already") and job.completed_ms is not None:
                        steps.append((job.completed_ms, 0, index, (job, seat, False)))
        return [step for *_, step in sorted(steps, key=lambda entry: entry[:3])]

    def _last(self) -> dict[int, tuple[Sequence[str], set[str]]]:
        """By the last change of each group that was changed: the group, and what was changed of it."""
        of_job, of_call = _entries(self._snapshot)
        groups: list[tuple[Job | Call, list[Change]]] = [
            *((job, of_job[job.id]) for job in self._record.jobs.values()),
            *((call, of_call[request_id]) for request_id, call in self._record.calls.items()),
        ]
        return {
            changes[-1].seq: (group.seats, {change.seat for change in changes})
            for group, changes in groups
            if changes and len(group.seats) > 1
        }

    def _whole(self, change: Change, seats: Sequence[str], changed: set[str]) -> Iterator[str]:
        """All or none: what was not changed of a group is what the others have become."""
        for name in seats:
            seat, like = self._seats[name], self._seats[change.seat]
            as_it_is = (seat.status, seat.actor) == (like.status, like.actor) and change.cause in _LEAVES
            as_it_is |= change.cause == "unblocked" and seat.status != "Blocked"
            # Nobody's hold is in it any more.
            as_it_is |= change.cause == "released" and seat.status == "Blocked"
            if name not in changed and not as_it_is:
                yield f"{change}: the last of {' '.join(seats)}, and {name} is {seat.status} of {seat.actor}"

    def _pin(self, job: Job, name: str, starts: bool) -> Iterator[str]:
        seat = self._seats[name]
        if not starts:
            if seat.job == job.id:
                seat.pinned = 0
        elif seat.cancelled == job.accepted_ms:
            return  # which may have been later within the millisecond
        elif seat.status == "On hold" and seat.actor == self._actors[job.user]:
            seat.pinned, seat.job = job.deadline_ms or 0, job.id
        elif seat.status != "Reserved":  # which it may have become within the millisecond
            yield f"{name}: job {job.id} was accepted for a seat that is {seat.status} of {seat.actor}"

    def _apply(self, change: Change) -> Iterator[str]:
        seat = self._seats[change.seat]
        if seat.status != _BEFORE.get(change.cause):
            yield f"{change}: the seat is {seat.status}"
        if change.cause in ("refreshed", "released", "reserved", "cancelled") and change.actor != seat.actor:
            yield f"{change}: it is of {seat.actor}"
        if change.cause == "expired" and seat.surely_held(change.at):
            yield f"{change}: too early"
        match change.cause:
            case "held":
                seat.status, seat.actor, seat.pinned, seat.since = "On hold", change.actor, 0, change.at
                seat.expires = change.at + self._record.hold_ms
            case "refreshed":
                seat.expires = min(change.at + self._record.hold_ms, seat.since + self._record.max_hold_ms)
            case "reserved":
                seat.status, seat.actor = "Reserved", change.actor
            case "blocked":
                seat.status, seat.actor = "Blocked", ""
            case _:
                seat.status, seat.actor = "Available", ""
                seat.cancelled = change.at if change.cause == "cancelled" else seat.cancelled
        held = sum(seat.actor == change.actor and seat.surely_held(change.at) for seat in self._seats.values())
        if change.cause == "held" and held > self._record.max_held:
            yield f"{change}: the user's {held}th hold; the limit is {self._record.max_held}"


#: What a seat is before each change.
_BEFORE = {
    "held": "Available",
    "cancelled": "Reserved",
    "blocked": "Available",
    "unblocked": "Blocked",
    **dict.fromkeys(("refreshed", "reserved", "released", "expired"), "On hold"),
}
#: Changes that a group's script leaves out where a seat is so already.
_LEAVES = ("held", "reserved", "released", "blocked")


def _sets(snapshot: Snapshot) -> Iterator[str]:
    """Every set of the event says what its seats say, and nothing is left open."""
    by_status = defaultdict(set)
    for name, fields in snapshot.seats.items():
        by_status[fields.get("status")].add(name)
    live = {name for name in snapshot.seats if snapshot.ends(name) > snapshot.now}
    # Redis keeps a key for the whole of the millisecond in which it ends, and goes by when a transaction began.
    ending = {name for name in snapshot.seats if 0 <= snapshot.now - snapshot.ends(name) <= _EDGE_MS}
    free = {name: float(name.rpartition("-")[2]) for name in by_status["Available"]}
    total = len(snapshot.seats)
    for what, is_, should in (
        ("seats", snapshot.members, set(snapshot.seats)),
        ("totalSeats", snapshot.fields.get("totalSeats"), str(total)),
        ("available", snapshot.available, free),
        ("blocked", snapshot.blocked, {name: float(name.rpartition("-")[2]) for name in by_status["Blocked"]}),
        ("holds", snapshot.holds, {name: float(snapshot.ends(name)) for name in by_status["On hold"]}),
        (
            "free + held + reserved + blocked",
            len(free) + len(snapshot.holds) + len(by_status["Reserved"] | by_status["Blocked"]),
            total,
        ),
        ("jobs", snapshot.jobs, []),
        (
            "locks",
            {name: user for name, user in snapshot.locks.items() if user and name not in ending},
            {name: snapshot.seats[name]["UUID"] for name in live},
        ),
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
