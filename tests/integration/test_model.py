"""The scripts against a model of them: whatever is done to an event, in any order and at any time, the
store answers as the model does, and keeps what the model says it keeps.

The time is the server's, and cannot be set. So the model predicts nothing before a call: it takes the time
that the script read, which is in the script's reply. What answers without a time is asked again if
something ended meanwhile. And nobody waits for holds to end: what is stored is made older instead.

`MODEL_EXAMPLES=5000 python -m pytest tests/integration/test_model.py` tries more than usual, and other
things each time.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar
from uuid import UUID

import pytest
import redis
from hypothesis import Phase, configuration
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from redis.backoff import NoBackoff
from redis.retry import Retry

from reservation import keys
from reservation.clients import Command, Sent, Server
from reservation.codes import Code
from reservation.embedded import EmbeddedRedis
from reservation.errors import ReservationError
from reservation.ids import JobId, SeatId
from reservation.jobs import OpenJob, Task
from reservation.models import Job
from reservation.pipelining import Pipelining
from reservation.seats import Accepted, Turn, Verdict
from reservation.settings import Settings
from reservation.store import Store
from tests.cluster import RedisCluster
from tests.integration.seat_model import Model

T = TypeVar("T")
When = Literal["now", "later", "before", "at", "after"]
Numbers = tuple[int, ...]
Wanted = tuple[bool, int | None]

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
SEATS = 3
USERS = [str(UUID(int=number)) for number in (1, 2)]

#: What comes up, by call. If it does not, the test has looked at too little.
EXPECTED = {
    "accept_hold": {
        "Accepted",
        "DelayTooLong",
        "LimitReached",
        "QueueFull",
        "SeatHeld",
        "SeatReserved",
        "SeatBlocked",
    },
    "accept_reserve": {
        "Accepted",
        "DelayTooLong",
        "NotHolder",
        "NotOnHold",
        "QueueFull",
        "ReservePending",
        "SeatReserved",
        "SeatBlocked",
    },
    "hold": {
        "HELD",
        "HELD_ALREADY",
        "SEAT_HELD",
        "SEAT_RESERVED",
        "SEAT_BLOCKED",
        "LIMIT_REACHED",
        "DEADLINE_PASSED",
        "NOT_DUE",
    },
    "reserve": {"RESERVED", "RESERVED_ALREADY", "DEADLINE_PASSED", "NOT_DUE"},
    "start_due": {"none", "some"},
    "fail": {"DEADLINE_PASSED", "INTERNAL_ERROR", "NOT_DUE", "HELD"},
    "refresh": {"list", "HoldCeiling", "NotHolder", "NotOnHold", "ReservePending", "SeatReserved", "SeatBlocked"},
    "release": {"NoneType", "NotHolder", "ReservePending", "SeatReserved"},
    "cancel": {"NoneType", "NotOwner", "NotReserved"},
    "block": {"NoneType", "SeatHeld", "SeatReserved"},
    "unblock": {"NoneType"},
}

#: Makes all that is stored older by so many ms. Scripts do nothing with a stored time but compare it with
#: the clock, so to them it is as if that time had passed.
GROW_OLDER = """
local times = {'heldAt', 'expiresAt', 'reservingUntil', 'reservedAt', 'createdAt', 'completedAt', 'deadline', 'sentAt',
  'notBefore'}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local hash, ttl = redis.call('TYPE', key).ok == 'hash', redis.call('PTTL', key)
  for _, field in ipairs(hash and times or {}) do
    local value = redis.call('HGET', key, field)
    local older = value and string.gsub(value, '%d+', function(time) return string.format('%.0f', time - ARGV[1]) end)
    if value then redis.call('HSET', key, field, older) end
  end
  local of_times = string.find(key, ':hold') or string.find(key, ':buyer:') or string.find(key, ':later:')
  for _, member in ipairs(of_times and redis.call('ZRANGE', key, 0, -1) or {}) do
    redis.call('ZINCRBY', key, -ARGV[1], member)
  end
  for _, member in ipairs(string.find(key, ':jobs') and redis.call('ZRANGEBYSCORE', key, 1e15, '+inf') or {}) do
    redis.call('ZINCRBY', key, -ARGV[1], member)
  end
  if ttl >= 0 then redis.call('PEXPIRE', key, ttl - ARGV[1]) end
end
"""
#: In ms after the next end of something.
AROUND_MS: dict[When, int] = {"before": -1, "at": 0, "after": 1}
#: How near an end is brought before it is waited for, and how long a while is.
NEAR_MS, WHILE_MS = 2, 4_000
#: How much longer than it should a lock may last: PTTL and PEXPIRE, with which it is made older, may read
#: the clock at different times.
LATE_MS = 100
#: PTTL of a key that does not expire.
NO_TTL = -1

#: One seat is asked for more often than the others: what meets there is what is of interest.
a_seat = st.sampled_from([1, 1, 1, 2, 3])
some_seats = st.sampled_from([(1,), (1,), (1,), (2,), (3,), (1, 2), (2, 1), (3, 2), (1, 2, 3)])
#: Who asks: the seat's holder, or the other user.
the_holder = st.sampled_from([True, True, False])
#: How things shall stand before it is asked for. A pin outlasts its hold only if it comes late.
given = st.sampled_from(
    ["as it is", "as it is", "held", "pinned", "one pinned", "pinned late", "refreshed late", "others held"]
)
given_too = st.sampled_from(["as it is", "held", "sold", "sold", "one sold"])
#: When a job shall be carried out: as VIP, and in how many ms. More than MOST_LATER_MS is too late.
MOST_LATER_MS = 4_000
a_turn = st.sampled_from(
    [*[(False, None)] * 5, (True, None), (True, None), (False, 1_000), (True, 1_000), (False, 3_000), (False, 5_000)]
)
#: At once; a while later, in which nothing ends; a ms before the next end of something, then, or a ms after.
when: st.SearchStrategy[When] = st.sampled_from(["now", "now", "now", "now", "later", "before", "at", "at", "after"])
#: What becomes of a reply. If it is lost, redis-py sends the call again; and somebody else may get the seat
#: in between.
reply = st.sampled_from(["comes", "comes", "comes", "is lost", "is lost for a while"])
#: What is done about a job.
an_end = st.sampled_from(["run", "run", "none", "none", "give up", "time out"])
#: Which of the latest jobs. What is drawn must not depend on what there is, for that depends on the time.
nth = st.integers(0, 3)


class Machine(RuleBasedStateMachine):
    """One event, and its model."""

    #: The outcomes of each call, over all examples.
    outcomes: ClassVar[dict[str, set[str]]] = defaultdict(set)
    #: The calls of the last example that failed, with their answers.
    failure: ClassVar[str] = ""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store, self.client = store, store.client
        self.client.flushall()
        Overheard.hear = self._on_reply
        self.grow_older = self.client.register_script(GROW_OLDER)
        self.expect: Callable[[], object] | None = None
        self.expected: object = None
        self.interrupt: Callable[[], None] | None = None
        self.event = store.events.create("Opening night", SEATS).id
        self.model = Model(self.event, SEATS, store.seats._policy)
        self.actors = {store.seats._actor(self.event, user): user for user in USERS} | {"": ""}
        self.requests = map("request-{}".format, count())
        self.story: list[str] = []
        self.sold: dict[SeatId, str] = {}
        self.verdicts: dict[JobId, Code] = {}
        self.etag = ""

    # What may happen

    @rule(
        seats=some_seats,
        the_holder=the_holder,
        given=given,
        asked=when,
        reply=reply,
        turn=a_turn,
        end=an_end,
        ended=when,
    )
    def hold(
        self, seats: Numbers, the_holder: bool, given: str, asked: When, reply: str, turn: Wanted, end: str, ended: When
    ) -> None:
        """A job from its acceptance to its end, or left open."""
        self._ask("accept_hold", seats, the_holder, given, asked, reply, turn)
        self._end_latest(end, ended)

    @rule(
        seats=some_seats,
        the_holder=the_holder,
        given=given,
        asked=when,
        reply=reply,
        turn=a_turn,
        end=an_end,
        ended=when,
    )
    def reserve(
        self, seats: Numbers, the_holder: bool, given: str, asked: When, reply: str, turn: Wanted, end: str, ended: When
    ) -> None:
        self._ask("accept_reserve", seats, the_holder, given, asked, reply, turn)
        self._end_latest(end, ended)

    @rule(seats=some_seats, the_holder=the_holder, given=given, when=when, reply=reply)
    def refresh(self, seats: Numbers, the_holder: bool, given: str, when: When, reply: str) -> None:
        self._ask("refresh", seats, the_holder, given, when, reply)

    @rule(seats=some_seats, the_holder=the_holder, given=given, when=when, reply=reply)
    def release(self, seats: Numbers, the_holder: bool, given: str, when: When, reply: str) -> None:
        self._ask("release", seats, the_holder, given, when, reply)

    @rule(seats=some_seats, the_holder=the_holder, given=given_too, when=when, reply=reply)
    def cancel(self, seats: Numbers, the_holder: bool, given: str, when: When, reply: str) -> None:
        before = len(self.model.changes)
        self._ask("cancel", seats, the_holder, given, when, reply)
        for change in self.model.changes[before:]:
            if change["cause"] == "cancelled":
                self.sold.pop(SeatId(self.event, int(change["seat"])), None)

    @rule(
        seats=some_seats,
        given=given_too,
        queued=st.booleans(),
        when=when,
        reply=reply,
        then=st.sampled_from(["accept_hold", "accept_reserve", "refresh", "release"]),
        for_good=st.sampled_from([False, False, True]),
    )
    def block(
        self, seats: Numbers, given: str, queued: bool, when: When, reply: str, then: str, for_good: bool
    ) -> None:
        """Somebody may have asked for the seats before, and asks after."""
        if queued:
            self._ask("release", seats, True)
            self._ask("accept_hold", seats, True)
        self._ask("block", seats, True, "as it is" if queued else given, when, reply)
        self._end_latest("run")
        self._ask(then, seats, True)
        if not for_good:
            self._ask("unblock", seats, True, reply=reply)

    @rule(end=an_end, nth=nth, only_open=st.booleans(), when=when)
    def end(self, end: str, nth: int, only_open: bool, when: When) -> None:
        """A message comes late, or once more."""
        self._await(when)
        self._end(end, self._job(nth, only_open))

    @rule(
        holders=st.lists(the_holder, min_size=3, max_size=6),
        seat=a_seat,
        in_turn=st.booleans(),
        sold=st.sampled_from([False, False, True]),
    )
    def rush(self, holders: list[bool], seat: int, in_turn: bool, sold: bool) -> None:
        """Several ask before the first is served; and before the next is served, a seat may be sold."""
        for number, holder in enumerate(holders):
            self._ask("accept_hold", (1 + number % SEATS,), holder)
        self._ask("accept_reserve", (seat,), True)
        for job_id in self.model.open() if in_turn else reversed(self.model.open()):
            self._end("run", job_id)
            if sold:
                self._ask("accept_reserve", (seat,), True)
                self._end_latest("run")

    @rule(nth=nth, when=when)
    def accept_again(self, nth: int, when: When) -> None:
        """The reply was lost, so the call is sent again."""
        if job := self.model.jobs.get(job_id := self._job(nth)):
            self._await(when)
            accept = "accept_hold" if job.task.type == "HOLD_SEAT" else "accept_reserve"
            self._both(accept, job.task.seats, job.task.user, job_id, job.task.request_id)

    @rule(seat=a_seat, the_holder=the_holder, nth=nth, started=st.booleans(), end=an_end, when=when)
    def sweep(self, seat: int, the_holder: bool, nth: int, started: bool, end: str, when: When) -> None:
        """What may be started is, once. Two sweepers see the same open job, and one sends it again. Then what is due is
        freed, and meanwhile a seat may be held anew."""
        self._ask("accept_hold", (seat,), the_holder)
        self._start_due()
        self._start_due()
        open_jobs = [job for vip in (True, False) for job in self.store.jobs.open_jobs(self.event, 0, 100, vip=vip)]
        self._check(open_jobs, self.model.open_jobs(vip=True) + self.model.open_jobs(vip=False))
        if open_jobs:
            job = open_jobs[nth % len(open_jobs)]
            if started:
                self._start(job.job_id)
            self._claim_resend(job)
            self._end(end, job.job_id)
            self._claim_resend(job)
        self._await(when)
        self.interrupt = partial(self._get, SeatId(self.event, seat), USERS[1])
        freed = self._between_ends(lambda: self.store.seats.release_due(self.event))
        self._check(sum(freed), self.model.release_due())

    @rule(
        nth=nth,
        only_open=st.booleans(),
        after=st.integers(0, SEATS),
        limit=st.integers(0, SEATS),
        known=st.booleans(),
        when=when,
    )
    def read(self, nth: int, only_open: bool, after: int, limit: int, known: bool, when: When) -> None:
        etag = self.etag if known else ""
        self._await(when)
        *_, free = self._between_ends(
            lambda: self.store.events.list_free(self.event, after=after, limit=limit, known=etag)
        )
        self._check(free, self.model.list_free(after, limit, etag))
        self._both("seat_map", self.event, etag)
        for user in USERS:
            self._both("of_user", self.event, user)
        self.etag = free.etag
        for seat_id in self.model.seats:
            self._both("get", seat_id)
        self._both("read", self._job(nth, only_open))
        self._both("load", self.event)

    # How it is done

    def _ask(
        self,
        call: str,
        numbers: Numbers,
        the_holder: bool,
        given: str = "as it is",
        when: When = "now",
        reply: str = "comes",
        turn: Wanted = (False, None),
    ) -> None:
        seats = tuple(SeatId(self.event, number) for number in numbers)
        self._bring_about(given, seats)
        self._await(when)
        holder = self.model.seats[seats[0]].user or USERS[0]
        user, other = holder, USERS[holder == USERS[0]]
        if not the_holder:
            user, other = other, user

        def lose_reply() -> None:
            if reply == "is lost for a while":
                self._get(seats[0], other)
            raise redis.ConnectionError("the reply is lost")

        if reply != "comes":
            self.interrupt = lose_reply
        own: list[JobId | str] = [JobId.new(self.event)] if call.startswith("accept") else []
        own += {"cancel": [user], "block": ["Broken"], "unblock": [""]}.get(call, [])
        request_id = next(self.requests)
        named: dict[str, Any] = {}
        if call == "accept_reserve" and seats[0].number == 1:
            named["reference"] = f"order {request_id}"
        vip, later_ms = turn
        if vip or later_ms:
            named["turn"] = Turn(vip, (later_ms and self._clock_ms() + later_ms) or 0)
        self._both(call, seats, user, *own, request_id, **named)

    def _bring_about(self, given: str, seats: Sequence[SeatId]) -> None:
        """How things shall stand with seats, if they can."""
        others = [other for other in self.model.seats if other not in seats]
        for each in {"as it is": [], "others held": others}.get(given, seats):
            if self.model.seats[each].status == "Available":
                self._get(each, USERS[0])
        if given in ("pinned late", "refreshed late"):
            self._await("later")
        if given == "refreshed late":
            self._ask("refresh", tuple(seat.number for seat in seats), True)
        if given in ("pinned", "one pinned", "pinned late", "sold", "one sold"):
            one = given.startswith("one")
            self._ask("accept_reserve", tuple(seat.number for seat in seats[: 1 if one else None]), True)
        if given in ("sold", "one sold"):
            self._end_latest("run")

    def _get(self, seat_id: SeatId, user: str) -> None:
        """Has a user hold a seat, if he can."""
        self._both("accept_hold", (seat_id,), user, JobId.new(self.event), next(self.requests))
        self._end_latest("run")

    def _end_latest(self, end: str, when: When = "now") -> None:
        self._await(when)
        if jobs := self.model.open():
            self._end(end, max(jobs, key=list(self.model.jobs).index))

    def _end(self, end: str, job_id: JobId) -> None:
        unknown = Task("HOLD_SEAT", (SeatId(self.event, 1),), USERS[0], "")
        task = job.task if (job := self.model.jobs.get(job_id)) else unknown
        if end == "run":
            self._start(job_id)
            script = "hold" if task.type == "HOLD_SEAT" else "reserve"
            self._both(script, task.seats, task.user, job_id, task.request_id)
        elif end != "none":
            code = Code.INTERNAL_ERROR if end == "give up" else Code.DEADLINE_PASSED
            self._both("fail", task.seats, task.user, job_id, code)

    def _start(self, job_id: JobId) -> None:
        self.store.jobs.mark_active(job_id)
        self.model.mark_active(job_id)

    def _start_due(self) -> None:
        """Has those started whose time has come, as a sweeper does that has just looked at the clock."""
        self.model.now = self._clock_ms()
        due = self.model.startable()
        started = self.store.jobs.start_due(self.event, self.model.now)
        self._check([job.job_id for job in started], due)
        for job in started:
            assert self.model.now <= job.sent_at <= self._clock_ms()
            self.model.now = job.sent_at
            self.model.start(job.job_id)
        self._check(started, [self.model.open_job(job_id) for job_id in due])
        self.outcomes["start_due"].add("some" if due else "none")

    def _claim_resend(self, job: OpenJob) -> None:
        began, claimed, ended = self._clock_ms(), self.store.jobs.claim_resends([job]), self._clock_ms()
        self.model.now = int(self.client.hget(keys.job(job.job_id), "sentAt") or 0)
        self._check(claimed, self.model.claim_resends([job]))
        assert not claimed or began <= self.model.now <= ended

    def _job(self, nth: int, only_open: bool = False) -> JobId:
        """One of the latest jobs; if there are none, one that nobody knows."""
        jobs = (only_open and self.model.open()) or list(self.model.jobs)
        return jobs[-1 - nth % len(jobs)] if jobs else JobId.new(self.event)

    def _await(self, when: When) -> None:
        """Waits until something is to be done. The time until shortly before something ends is passed by
        growing older; over the end itself goes the server's clock."""
        if when == "now" or not (ends := self.model.ends()):
            return
        left = ends[0] - self._clock_ms()
        older = max(min(WHILE_MS, left - WHILE_MS) if when == "later" else left - NEAR_MS, 0)
        if older:
            self.grow_older(keys=[keys.event(self.event)], args=[older])
            self.model.grow_older(older)
        # Awake, so that what comes next comes within the very millisecond.
        while when != "later" and self._clock_ms() < ends[0] - older + AROUND_MS[when]:
            pass

    # How it is compared

    def _both(self, call: str, *args: Any, **named: Any) -> None:
        """Has store and model do the same, and compares what they answer."""
        events = self.store.events
        part = {"read": self.store.jobs, "load": events, "seat_map": events}.get(call, self.store.seats)
        outer, self.expect = self.expect, partial(_outcome, getattr(self.model, call), *args, **named)
        self.expected = None
        answer = _outcome(getattr(part, call), *args, **named)
        expected, self.expect = self.expected, outer
        self.story.append(f"{self.model.now} {call}{args}: {answer}")
        self.outcomes[call].add(_kind(answer))
        self._check(answer, expected)

    def _on_reply(self, reply: Any, **_: Any) -> Any:
        """Has the model do what the server just did: twice, if it is sent twice. What is to happen before the
        reply arrives, happens here."""
        # `touch_event`, which may come first, replies with a number.
        if self.expect and isinstance(reply, list):
            self.model.now = reply[1]
            self.expected = self.expect()
        if isinstance(reply, list) and self.interrupt:
            interrupt, self.interrupt = self.interrupt, None
            interrupt()
        return reply

    def _check(self, actual: object, expected: object) -> None:
        if actual != expected:
            # What depends on the very millisecond may not fail again, and then Hypothesis says little.
            type(self).failure = "\n".join([*self.story, f"{actual} is not {expected}"])
        assert actual == expected

    def _between_ends(self, ask: Callable[[], T]) -> list[T]:
        """Asks for what is answered without a time. Asks again, if something ended meanwhile, for it cannot
        be told on which side of that the answer was. Returns all answers."""
        answers = []
        while True:
            self.model.now = self._clock_ms()
            ends = self.model.ends()
            answers.append(ask())
            self.model.now = self._clock_ms()
            if self.model.ends() == ends:
                return answers

    @invariant()
    def the_store_keeps_what_the_model_keeps(self) -> None:
        *_, kept = self._between_ends(self._kept)
        self._check(kept, self.model.kept(USERS))

    def _kept(self) -> dict[str, Any]:
        event, now = self.event, self.model.now
        seats, jobs = self.model.seats, self.model.jobs
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.event(event), ["version", "tickets"])
            pipe.xrange(keys.changes(event))
            for name in (keys.available(event), keys.blocked(event), keys.holds(event), keys.jobs(event)):
                pipe.zrange(name, 0, -1, withscores=True)
            for user in USERS:
                pipe.zrange(keys.holder(event, user), 0, -1, withscores=True)
                pipe.zrange(keys.buyer(event, user), 0, -1, withscores=True)
            for seat in seats:
                pipe.hgetall(keys.seat(seat))
            for job in jobs:
                pipe.hgetall(keys.job(job))
                pipe.pttl(keys.job(job))
            read = iter(pipe.execute())
        kept = dict(zip(("version", "tickets"), next(read), strict=True))
        kept["changes"] = [{**fields, "actor": self.actors[fields["actor"]]} for _, fields in next(read)]
        kept |= {name: dict(next(read)) for name in ("available", "blocked", "holds", "jobs")}
        # A hold that is over may be left there: it counts for nothing.
        for user in USERS:
            kept[user] = {seat: ends for seat, ends in next(read) if ends > now}, dict(next(read))
        kept |= {str(seat): next(read) for seat in seats}
        kept |= {str(job): (next(read), next(read) != NO_TTL) for job in jobs}
        return kept

    @invariant()
    def promises_are_kept(self) -> None:
        """Whatever the model says: who has a seat for good keeps it, a verdict is for good, and nobody has
        too many seats on hold."""
        sold = {seat_id: seat for seat_id, seat in self.model.seats.items() if seat.status == "Reserved"}
        verdicts = {job_id: job.code for job_id, job in self.model.jobs.items() if job.code is not None}
        assert self.sold.keys() <= sold.keys()
        assert all(sold[seat_id].user == user for seat_id, user in self.sold.items())
        assert self.verdicts.items() <= verdicts.items()
        assert all(len(self.model.holds(user)) <= self.model.policy.max_held for user in USERS)
        self.sold, self.verdicts = {seat_id: seat.user for seat_id, seat in sold.items()}, verdicts

    @invariant()
    def keys_last_as_long_as_holds(self) -> None:
        """A hold's lock is there for as long as the hold, and a user's set of holds at least as long."""
        model, began = self.model, self._clock_ms()
        with self.client.pipeline(transaction=False) as pipe:
            for seat_id in model.seats:
                pipe.get(keys.lock(seat_id))
                pipe.pttl(keys.lock(seat_id))
            for user in USERS:
                pipe.pttl(keys.holder(self.event, user))
            read = pipe.execute()
        model.now = self._clock_ms()
        for seat_id, seat in model.seats.items():
            user, ttl, *read = read
            ends = seat.ends if seat.status == "On hold" else 0
            if ends > model.now:
                self._check(user, seat.user)
                assert ends - model.now <= ttl <= ends - began + LATE_MS, seat_id
            elif ends < began - LATE_MS:
                self._check(user, None)
        for user, ttl in zip(USERS, read, strict=True):
            assert ttl != NO_TTL
            assert ttl >= max(model.holds(user).values(), default=0) - model.now, user

    def _clock_ms(self) -> int:
        seconds, micros = self.client.time()
        return seconds * 1_000 + micros // 1_000


def _outcome(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """What a call answers, or why it refuses. Without texts for people and how long things may take."""
    try:
        answer = call(*args, **named)
    except ReservationError as error:
        return type(error).__name__, str(error), error.fields
    if isinstance(answer, Accepted):
        return answer._replace(pace_us=0)
    if isinstance(answer, Job):
        return answer.model_dump(exclude={"estimated_wait_time": True, "result": {"message"}})
    return answer


def _kind(outcome: Any) -> str:
    if isinstance(outcome, Verdict):
        return outcome.code.name
    return outcome[0] if type(outcome) is tuple else type(outcome).__name__


class Overheard(Sent):
    """Lets the machine hear each reply; redis-py does so where the commands are sent again."""

    hear: ClassVar[Callable[[Any], Any]] = staticmethod(lambda reply: reply)

    def _read(self) -> list[Any] | None:
        replies = super()._read()
        try:
            return replies and list(map(self._heard, self._commands, replies))
        except redis.ConnectionError:
            return None

    def _heard(self, command: Command, reply: Any) -> Any:
        of_script = command[0] == "EVALSHA" and not isinstance(reply, Exception)
        return type(self).hear(reply) if of_script else reply


class OverheardServer(Server):
    """A client whose replies the machine hears."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        super().__init__(pool)
        self.set_response_callback("EVALSHA", lambda reply, **_: Overheard.hear(reply))


@pytest.fixture
def hurried(
    redis_server: EmbeddedRedis | RedisCluster, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """The test's server, with rules under which much happens to three seats."""
    for module in ("servers", "cluster", "topology"):
        monkeypatch.setattr(f"reservation.{module}.Sent", Overheard)
        monkeypatch.setattr(f"reservation.{module}.Server", OverheardServer)
    monkeypatch.setattr("reservation.clients.Retry", lambda _, retries, **kinds: Retry(NoBackoff(), retries, **kinds))
    settings = make_settings(
        max_held_seats=2,
        max_open_jobs=3,
        lock_expiration_time=10,
        max_hold_time=12,
        hold_job_deadline=5,
        reserve_job_deadline=7,
        job_result_ttl=86_400,
        max_job_delay=MOST_LATER_MS / 1_000,
    )
    store = Store.connect(settings, connections=4)
    # What happens while a call is under way, happens in the same thread.
    store.scripts.pipelining = Pipelining(store.scripts._begin, at_once=2)
    # What is tried again because its slot is on the way, is nothing that the model knows of.
    with redis_server.still if isinstance(redis_server, RedisCluster) else nullcontext():
        yield store
    store.servers.close()


@pytest.fixture
def _home(tmp_path: Path) -> Iterator[None]:
    """Where Hypothesis keeps what it finds out, which otherwise is the working directory."""
    configuration.set_hypothesis_home_dir(tmp_path)
    yield
    configuration.set_hypothesis_home_dir(None)


@pytest.mark.timeout(300 + EXAMPLES)
@pytest.mark.usefixtures("_home")
def test_the_store_does_what_the_model_does(hurried: Store) -> None:
    """Answer by answer, and key by key; if not, it says which few calls show it."""
    Machine.outcomes.clear()
    try:
        run_state_machine_as_test(
            lambda: Machine(hurried),  # type: ignore[arg-type]  # any factory does, says Hypothesis
            settings=profile(
                Machine.TestCase.settings,
                max_examples=EXAMPLES or 300,
                stateful_step_count=15,
                derandomize=not EXAMPLES,
                database=None,
                report_multiple_bugs=False,
                phases=[Phase.generate, Phase.shrink],
            ),
        )
    except Exception as error:
        error.add_note(Machine.failure)
        raise
    assert not {call: missing for call, some in EXPECTED.items() if (missing := some - Machine.outcomes[call])}
