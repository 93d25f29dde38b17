"""One client of a load: what it does at random, and how it notes what it was told."""

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal
from uuid import UUID

from reservation.fields import Adjacent
from tests.faults.api import Answer, Api, Turn, Unexpected
from tests.faults.history import Kind, Op, now_ms
from tests.faults.picking import Wish
from tests.faults.record import Call, CallKind, Job, Record
from tests.faults.room import Visitor

#: How long after it was sent a request without an answer may still take effect, ms: an API process that
#: lives takes it up while its client still waits, and a call that then takes longer than 1.5 s to reach
#: Redis has no effect. A process that is *stopped* (SIGSTOP) may take it up later: kill them instead.
LATE_MS = 5_000
#: How long a client that is told to stop goes on looking after its jobs, seconds.
_FOLLOW_S = 5.0
#: Time until a job is looked at again, seconds: growing from the first to the last, and to the longer one
#: while nobody knows whether there is such a job.
_LOOK_S, _LOOK_MAX_S, _DOUBT_MAX_S = 0.005, 0.25, 1.0
#: Pause after a 503 or no answer, seconds. What such a request did is not known, and a history of many of
#: them would fit everything.
_PAUSE_S = 0.25
#: Jobs that a client has open at most.
_MOST_OPEN = 4
#: How long before its end a hold is worth waiting for, and how close to that end a client then asks, ms.
_NEAR_MS, _CLOSE_MS = 400, 4
#: Seats whose state is noted of a list.
_LISTED = 2
#: What clients do, by how often; and how often to a seat that they hold or that is sold.
_DOINGS = {
    "hold": 20,
    "best": 8,
    "grab": 4,
    "read": 24,
    "refresh": 12,
    "reserve": 12,
    "release": 8,
    "cancel": 4,
    "block": 3,
    "unblock": 3,
    "edge": 8,
    "list": 6,
}
_MINE, _SOLD = 0.7, 0.05
#: How often they do it to several seats at once, and to how many.
_GROUPED, _GROUP = 0.3, (2, 4)
#: How often jobs are VIP ones; how often holds are for later, and by how much, ms.
_VIP, _LATER, _LATER_MS = 0.2, 0.1, (100, 1_000)
#: How often who has not been admitted tries without, and until when everybody comes to the door, seconds.
_PUSHING, _ARRIVAL_S = 0.1, 4.0
#: How many of the best seats they ask for, at least and at most.
_BEST = (1, 4)
#: How often who cancels has bought the seat: not so often that it is in vain to sell any.
_BOUGHT = 0.3

_GRANTED = {
    "hold": "held",
    "reserve": "reserved",
    "refresh": "refreshed",
    "release": "released",
    "cancel": "cancelled",
    "block": "blocked-or-was",
    "unblock": "unblocked-or-was-not",
}
_AGAINST = {
    "hold": {"seat-held", "seat-reserved", "seat-blocked", "limit-reached"},
    "reserve": {"seat-reserved", "hold-expired"},
}
#: What a seat's status says against each request, where it may be in the way. Of a call, a seat on hold may be so for
#: two reasons; of the first the problem's type says which.
_FOR_GOOD = {"Reserved": "seat-reserved", "Blocked": "seat-blocked"}
_IN_THE_WAY = {
    "hold": {"On hold": "seat-held", **_FOR_GOOD},
    "pin": {"Available": "not-on-hold", "On hold": "not-holder", **_FOR_GOOD},
    "reserve": {**dict.fromkeys(("Available", "On hold", "Blocked"), "hold-expired"), "Reserved": "seat-reserved"},
    "refresh": {"Available": "not-on-hold", "On hold": "in-the-way", **_FOR_GOOD},
    "release": {"On hold": "in-the-way", "Reserved": "seat-reserved"},
    "cancel": {**dict.fromkeys(("Available", "On hold", "Blocked"), "not-reserved"), "Reserved": "not-owner"},
    "block": {"On hold": "seat-held", "Reserved": "seat-reserved"},
}
#: Refusals that have the same reason for every seat that is in the way.
_OF_ALL = {"reserve-pending": ("pin",), "hold-ceiling": ("refresh",)}


class Sale:
    """What is for sale, and how fast. Shared by all clients.

    Arguments:
        record: where it is noted what becomes of it.
        deadline_ms: longest deadline of a job.
        last_s: for how long the seats are to last, seconds.
        hot: seats of an event that clients want at a time: the first that are not sold.
        think_s: mean time between two requests of a client, seconds.

    Attributes:
        sold: the seats that are reserved, as far as anybody was told; `blocked`: those that are not for sale.
    """

    def __init__(self, record: Record, *, deadline_ms: int, last_s: float, hot: int, think_s: float) -> None:
        self.record = record
        self.deadline_ms = deadline_ms
        self.think_s = think_s
        self.sold: set[str] = set()
        self.blocked: set[str] = set()
        self.closing = threading.Event()
        self._hot = hot
        self._seats_per_s = sum(record.events.values()) / last_s
        self._began = time.monotonic()

    def wanted(self, event_id: str) -> list[str]:
        """The seats of an event that clients are after."""
        seats = (f"{event_id}-{number}" for number in range(1, self.record.events[event_id] + 1))
        return list(itertools.islice((seat for seat in seats if seat not in self.sold), self._hot))

    def has_time_to_sell(self) -> bool:
        """Whether the next seat may be sold already."""
        return len(self.sold) < (time.monotonic() - self._began) * self._seats_per_s


@dataclass
class _Waiting:
    """What a client looks at again, and when; `doubtful` while it is not known whether there is such a job."""

    doubtful: bool
    look_at: float = field(default=0.0, kw_only=True)
    pause_s: float = field(default=_LOOK_S, kw_only=True)

    def looked(self) -> None:
        """The next look is later."""
        self.look_at = time.monotonic() + self.pause_s
        self.pause_s = min(1.6 * self.pause_s, _DOUBT_MAX_S if self.doubtful else _LOOK_MAX_S)


@dataclass
class _Followed(_Waiting):
    """A job that a client looks after, with the operations on its seats, and those of its acceptance."""

    job: Job
    ops: dict[str, Op]
    pins: list[Op]


@dataclass
class _Wished(_Waiting):
    """A request for the best seats, and then its job."""

    wish: Wish


class Client:
    """One client, on a thread of its own.

    Arguments:
        sale: what it takes part in.
        api: its connection.
        user: the UUID that it presents.
        choices: decides for it.
    """

    def __init__(self, sale: Sale, api: Api, user: str, choices: Random) -> None:
        self._sale = sale
        self._record = sale.record
        self._api = api
        self._user = user
        self._choices = choices
        self._following: list[_Followed | _Wished] = []
        self._holds: dict[str, int] = {}
        self._bought: set[str] = set()
        self._doors = {event: Visitor(self._record, api, event, user) for event in self._record.doors}
        self._comes_at = time.monotonic() + choices.uniform(0, _ARRIVAL_S)

    def run(self) -> None:
        """Buys until the sale closes, then looks after its jobs for some seconds. Raises Unexpected."""
        with self._api:
            while not self._sale.closing.is_set():
                self._look()
                if sum(not followed.doubtful for followed in self._following) < _MOST_OPEN:
                    self._act()
                think_s = self._choices.uniform(0, 2 * self._sale.think_s)
                self._sale.closing.wait(_PAUSE_S if self._api.unserved else think_s)
            self._follow(_FOLLOW_S)

    def settle(self, timeout_s: float) -> bool:
        """Looks after its jobs until all have ended, and waits until it is let in; returns whether that is so. Raises
        Unexpected."""
        until = time.monotonic() + timeout_s
        with self._api:
            self._follow(timeout_s)
            while waiting := [door for door in self._doors.values() if not door.admission]:
                if time.monotonic() > until:
                    return False
                for door in waiting:
                    door.knock()
                time.sleep(_LOOK_S)
        return not self._following

    def _follow(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while self._following and time.monotonic() < until:
            self._look()
            time.sleep(_LOOK_S)

    def _look(self) -> None:
        """Looks at those of its jobs for which it is time."""
        for followed in list(self._following):
            if time.monotonic() >= followed.look_at:
                if self._is_done(followed):
                    self._following.remove(followed)
                if self._api.unserved:
                    return  # the others can wait too

    def _is_done(self, followed: "_Followed | _Wished") -> bool:
        """Looks at a job; returns whether there is no need to do so again."""
        if isinstance(followed, _Wished):
            return self._is_wish_done(followed)
        job, ops = followed.job, followed.ops
        answer = self._api.get("status", f"/seats/job/{job.id}/status")
        followed.looked()
        called_ms = min(op.call_ms for op in ops.values())
        if answer.status == 404 and followed.doubtful and answer.call_ms > called_ms + LATE_MS:
            for op in ops.values():
                op.until_ms = answer.call_ms  # it was not accepted, and cannot be any more
            return True
        if answer.status != 200:
            return False
        if followed.doubtful:
            followed.doubtful = False
            for pin in followed.pins:
                self._record.add_pin(pin, answer.return_ms)
            if not self._record.add_job(job):
                return True  # another request was answered with this job, and its client follows it
        self._learn(job, ops, answer)
        return job.outcome is not None

    def _learn(self, job: Job, ops: dict[str, Op], answer: Answer) -> None:
        """Notes what the service says of a job."""
        said = answer.body
        job.accepted_ms, job.deadline_ms = said["createdAt"], said["deadline"]
        job.seats = tuple(said["data"]["seatIds"])
        # Who asks for some seats that are in one job already is answered with that, whichever else it has.
        for seat in ops.keys() - set(job.seats):
            self._record.history.discard(ops.pop(seat))
        for seat in set(job.seats) - ops.keys():
            ops[seat] = self._record.history.add(replace(next(iter(ops.values())), seat=seat))
        for op in ops.values():
            op.until_ms, op.seats = job.deadline_ms, len(job.seats)
        if said["status"] not in ("completed", "failed"):
            return
        job.completed_ms, job.seen_ms = said["completedAt"], answer.return_ms
        if said["completedAt"] < said.get("notBefore", 0):
            raise Unexpected(f"job {job.id} was carried out before its time")
        job.outcome = _verdict(job, said)
        ends = {seat["id"]: seat.get("expiresAt") for seat in said["result"].get("seats", [])}
        outcomes = self._outcomes(job, said, ends)
        for seat, op in ops.items():
            op.outcome, op.expires_at = outcomes[seat], ends.get(seat)
            op.return_ms, op.until_ms = answer.return_ms, None
            # A hold that failed did nothing, at no particular time; a reserve that failed gave its pin back.
            op.at_ms = None if op.outcome == "failed" and job.kind == "hold" else job.completed_ms
        for seat, expires_at in ends.items():
            if expires_at is not None:
                self._holds[seat] = expires_at
            else:
                self._sale.sold.add(seat)
                self._bought.add(seat)

    def _outcomes(self, job: Job, said: dict[str, Any], ends: dict[str, int | None]) -> dict[str, str]:
        """What the end of a job says of each seat. Raises Unexpected."""
        outcome = job.outcome or ""
        if outcome == "failed" or outcome.endswith("-already") or (ends and len(job.seats) == 1):
            return dict.fromkeys(job.seats, outcome)
        if outcome == "held":
            anew = (job.completed_ms or 0) + self._record.hold_ms
            return {seat: "held-or-had" if ends[seat] == anew else "held-already" for seat in job.seats}
        if outcome == "reserved":
            return dict.fromkeys(job.seats, "reserved-or-had")
        return _refused("hold" if job.kind == "hold" else "reserve", job.seats, outcome, said["result"])

    def _act(self) -> None:
        """Does one thing to one seat."""
        event_id = self._choices.choice(list(self._record.events))
        kind = self._choices.choices(list(_DOINGS), list(_DOINGS.values()))[0]
        sold = sorted(self._sale.sold.copy())
        wanted = self._sale.wanted(event_id) or sold
        mine = [seat for seat, ends in self._holds.items() if ends > now_ms() and seat not in sold]
        among, seat = wanted, self._choices.choice(wanted)
        if kind == "cancel":
            bought = sorted(self._bought)
            among = bought if bought and self._choices.random() < _BOUGHT else sold or wanted
            seat = self._choices.choice(among)
        elif kind == "unblock":
            among = sorted(self._sale.blocked.copy()) or wanted
            seat = self._choices.choice(among)
        elif sold and self._choices.random() < _SOLD:
            seat = self._choices.choice(sold)
        elif mine and kind not in ("hold", "grab", "block") and self._choices.random() < _MINE:
            among, seat = mine, self._choices.choice(mine)
        door = self._doors.get(_event(seat) if kind == "hold" else event_id)
        if kind in ("hold", "best", "grab") and door is not None and not door.admission:
            self._come_to(door)
            return
        seats = self._group(seat, among) if self._choices.random() < _GROUPED else (seat,)
        match kind:
            case "reserve" if seat in mine and not self._sale.has_time_to_sell():
                self._change("refresh", seats)
            case "hold" | "reserve":
                self._request(kind, seats, self._turn(kind))
            case "best":
                self._wish(event_id)
            case "refresh" | "release" | "cancel" | "block" | "unblock":
                self._change(kind, seats)
            case "grab":  # more than the limit allows, before the first verdict
                for seat in self._list(event_id, wanted[:_LISTED])[: self._record.max_held + 1]:
                    self._request("hold", (seat,))
            case "edge":
                self._wait_for_the_end(seat)
            case "list":
                self._list(event_id, self._choices.sample(wanted, min(_LISTED, len(wanted))))
            case _:
                self._read(seat)

    def _come_to(self, door: Visitor) -> None:
        """Waits to be let in, or does not wait."""
        if self._choices.random() < _PUSHING:
            door.push(self._choices.choice(self._sale.wanted(door.event_id)))
        elif time.monotonic() > self._comes_at:
            door.knock()

    def _admission(self, event_id: str) -> str:
        return self._doors[event_id].admission if event_id in self._doors else ""

    def _group(self, seat: str, among: Sequence[str]) -> tuple[str, ...]:
        """The seat and some others of its event, if there are any, in no order."""
        others = [other for other in among if other != seat and _event(other) == _event(seat)]
        group = [seat, *self._choices.sample(others, min(len(others), self._choices.randint(*_GROUP) - 1))]
        self._choices.shuffle(group)
        return tuple(group)

    def _wait_for_the_end(self, seat: str) -> None:
        """Asks just before the end of a hold and just after, if that is near; else only asks."""
        ends_ms = self._holds.get(seat, 0)
        if 0 < ends_ms - now_ms() < _NEAR_MS:
            self._wait_until(ends_ms - self._choices.uniform(0, _CLOSE_MS))
            self._read(seat)
            self._wait_until(ends_ms + self._choices.uniform(-1, _CLOSE_MS))
            if self._choices.random() < 0.5:
                self._change("refresh", (seat,))
        self._read(seat)

    def _wait_until(self, moment_ms: float) -> None:
        self._sale.closing.wait(max(0, moment_ms / 1000 - time.time()))

    def _read(self, seat: str) -> None:
        answer = self._api.get("read", f"/seats/get/{seat}")
        if answer.status == 200:
            self._note("read", seat, answer, answer.body["status"], answer.body)

    def _list(self, event_id: str, seats: Sequence[str]) -> list[str]:
        """Reads what is free, and notes that of some seats."""
        answer = self._api.get("list", f"/seats/list/{event_id}")
        free = [seat["id"] for seat in answer.body.get("seats", [])]
        self._sale.sold.difference_update(free)
        for seat in seats if answer.status == 200 else ():
            self._note("list", seat, answer, "free" if seat in free else "taken", {})
        return free

    def _change(self, kind: CallKind, seats: tuple[str, ...]) -> None:
        """Refreshes, releases or cancels."""
        request_id = self._request_id()
        answer = self._api.post(kind, seats, request_id)
        granted = not answer.slug
        if answer.unknown:
            self._record.add_call(request_id, Call(kind, seats, self._user, None))
            for seat in seats:
                self._doubt(kind, seat, answer, answer.call_ms + LATE_MS, seats=len(seats))
            return
        if not answer.status:
            return
        self._record.add_call(request_id, Call(kind, seats, self._user, _GRANTED[kind] if granted else answer.slug))
        if not granted:
            self._refusal(kind, seats, answer)
            return
        told = {seat["id"]: seat for seat in answer.body.get("seats") or [answer.body] if seat}
        for seat in seats:
            self._note(kind, seat, answer, _GRANTED[kind], told.get(seat, {}), seats=len(seats))

    def _turn(self, kind: Literal["hold", "reserve"]) -> Turn:
        turn = Turn(priority="vip" if self._choices.random() < _VIP else "standard")
        if kind == "hold" and self._choices.random() < _LATER:
            turn["notBefore"] = now_ms() + self._choices.randint(*_LATER_MS)
        return turn

    def _request(self, kind: Literal["hold", "reserve"], seats: tuple[str, ...], turn: Turn | None = None) -> None:
        """Holds or reserves."""
        answer = self._api.post(kind, seats, self._request_id(), self._admission(_event(seats[0])), turn)
        accepted, job_id = answer.status == 202, answer.body.get("jobId", "")
        # What is too much for later says nothing of the seats.
        told = not (answer.slug == "limit-reached" and turn and "notBefore" in turn)
        if 400 <= answer.status < 500 and told:
            self._refusal("hold" if kind == "hold" else "pin", seats, answer)
        if not accepted and (not answer.unknown or (answer.status == 503 and not job_id)):
            return  # a 503 that names no job was refused before an accept was sent to Redis
        pins = []
        if kind == "reserve":
            until_ms = answer.return_ms + 1 if accepted else answer.call_ms + LATE_MS
            pins = [self._doubt("pin", seat, answer, until_ms, job_id, seats=len(seats)) for seat in seats]
            if accepted:
                for pin in pins:
                    self._record.add_pin(pin, answer.return_ms)
        job = Job(job_id, kind, seats, self._user, answer.return_ms)
        if accepted and not self._record.add_job(job):
            return  # it is followed by whoever was told of it first
        until_ms = answer.call_ms + LATE_MS + self._sale.deadline_ms + (_LATER_MS[1] if turn else 0)
        ops = {seat: self._doubt(kind, seat, answer, until_ms, job_id, seats=len(seats)) for seat in seats}
        if job_id:
            pause_s = _LOOK_S if accepted else _LOOK_MAX_S
            self._following.append(_Followed(not accepted, job, ops, pins, pause_s=pause_s))

    def _wish(self, event_id: str) -> None:
        """Asks for the best seats."""
        adjacent: Adjacent = "required" if self._choices.random() < 0.5 else "preferred"
        wish = Wish(event_id, self._choices.randint(*_BEST), adjacent, self._user, self._request_id())
        wished = _Wished(True, wish)
        if not self._is_wish_done(wished):
            self._following.append(wished)

    def _is_wish_done(self, wished: _Wished) -> bool:
        """Sends it, again if need be, or looks at its job; returns whether there is no need to do so again."""
        wish = wished.wish
        if wish.job is None:
            admission = self._admission(wish.event_id)
            answer = self._api.ask("best", "/seats/best-available", wish.body, wish.key, admission)
            refused = wish.is_refused(answer, LATE_MS)
            wished.looked()
            if wish.job is not None:
                wished.doubtful, wished.pause_s = False, _LOOK_S
                self._record.add_job(wish.job)
            return refused
        answer = self._api.get("status", f"/seats/job/{wish.job.id}/status")
        wished.looked()
        if answer.status == 200:
            self._holds.update(wish.learn(wish.job, self._record, answer))
        return wish.job.outcome is not None

    def _request_id(self) -> str:
        return str(UUID(int=self._choices.getrandbits(128)))

    def _refusal(self, kind: Kind, seats: tuple[str, ...], answer: Answer) -> None:
        """Notes what a refusal says of each seat. Raises Unexpected."""
        outcomes = _refused(kind, seats, answer.slug, answer.body)
        # A time that it tells is that of the seat in the way, if there is just one.
        alone = list(outcomes.values()).count("spared") == len(seats) - 1
        for seat, outcome in outcomes.items():
            told = answer.body if alone and outcome == answer.slug else {}
            self._note(kind, seat, answer, outcome, told, seats=len(seats))

    def _note(
        self, kind: Kind, seat: str, answer: Answer, outcome: str, told: dict[str, Any], *, seats: int = 1
    ) -> None:
        """Notes an operation that was answered.

        Arguments:
            told: what the answer says of the seat.
        """
        op = Op(kind, seat, self._user, answer.call_ms, answer.return_ms, outcome, seats=seats)
        op.expires_at, op.reserving_until = told.get("expiresAt"), told.get("reservingUntil")
        op.at_ms = told.get("serverTime") if outcome == "refreshed" or kind == "read" else None
        op.mine = kind == "read" and told["UUID"] == self._user
        self._record.history.add(op)
        match outcome:
            case "refreshed":
                self._holds[seat] = op.expires_at or 0
            case "released":
                self._holds.pop(seat, None)
            case "Reserved" | "seat-reserved" | "not-owner":
                self._sale.sold.add(seat)
            case "blocked-or-was" | "seat-blocked" | "Blocked":
                self._sale.blocked.add(seat)
            case "unblocked-or-was-not":
                self._sale.blocked.discard(seat)
            case "cancelled" | "not-reserved" | "Available":
                self._sale.sold.discard(seat)
                self._bought.discard(seat)

    def _doubt(self, kind: Kind, seat: str, answer: Answer, until_ms: int, job_id: str = "", *, seats: int = 1) -> Op:
        """Notes an operation of which nobody knows, yet or ever, what it did."""
        return self._record.history.add(
            Op(kind, seat, self._user, answer.call_ms, until_ms=until_ms, job=job_id, seats=seats),
        )


def _event(seat: str) -> str:
    return seat.partition("-")[0]


def _refused(kind: Kind, seats: tuple[str, ...], slug: str, body: dict[str, Any]) -> dict[str, str]:
    """What a refusal says of each seat. Raises Unexpected.

    Arguments:
        body: the problem, or a job's result.
    """
    if len(seats) == 1:
        return {seats[0]: slug}
    if slug == "limit-reached":
        # Of fewer than all, some are the user's already, and nobody is told which.
        return dict.fromkeys(seats, slug if body["requested"] == len(seats) else "spared")
    found = {each["seatId"]: each["status"] for each in body["conflicts"]}
    if not found or not found.keys() <= set(seats):
        raise Unexpected(f"{kind} of {seats}: {slug}, with {found} in the way")
    outcomes = dict.fromkeys(seats, "spared")
    for seat, status in found.items():
        outcomes[seat] = slug if kind in _OF_ALL.get(slug, ()) else _IN_THE_WAY[kind].get(status, "")
    first = next(seat for seat in seats if seat in found)
    if outcomes[first] == "in-the-way":
        outcomes[first] = slug if slug in ("not-holder", "reserve-pending") else "in-the-way"
    due = {next((stays for stays in _FOR_GOOD.values() if stays in outcomes.values()), outcomes[first])}
    if slug not in due or not all(outcomes.values()) or list(found) != [seat for seat in seats if seat in found]:
        raise Unexpected(f"{kind} of {seats}: {slug}, with {found} in the way")
    return outcomes


def _verdict(job: Job, said: dict[str, Any]) -> str:
    """How a job ended, from its status. Raises Unexpected."""
    result = said["result"]
    if said["status"] == "failed":
        return "failed"
    if result["success"]:
        # Only the text for people tells the two apart.
        return f"{_GRANTED[job.kind]}-already" if "already" in result["message"] else _GRANTED[job.kind]
    if result["error"] not in _AGAINST[job.kind]:
        raise Unexpected(f"the verdict on a {job.kind} is {result['error']}")
    return str(result["error"])
