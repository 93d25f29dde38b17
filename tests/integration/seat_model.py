"""The reference model: what the seats of one event, their jobs and their history have to be.

Plain Python without sets, locks or a queue. What is asked for several seats is done to all of them or none. Its calls
are named, answer and refuse as the store's do. They take `now` from the model, which whoever drives it sets to the time
that the server's clock showed in the same call. Times are epoch ms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from reservation.codes import Code
from reservation.errors import (
    DelayTooLong,
    HoldCeiling,
    LimitReached,
    NotFound,
    NotHolder,
    NotOnHold,
    NotOwner,
    NotReserved,
    QueueFull,
    Refused,
    ReservePending,
    SeatBlocked,
    SeatHeld,
    SeatReserved,
)
from reservation.events import EventLoad, FreeList, Seating
from reservation.fields import JobStatus, SeatStatus
from reservation.ids import JobId, SeatId
from reservation.jobs import OpenJob, Task
from reservation.models import Conflict, Job, JobData, JobResult, OwnSeats, Seat, SeatMap
from reservation.seats import NEXT, Accepted, Policy, Turn, Verdict

STATUS_LETTERS: dict[SeatStatus, str] = {"Available": "A", "On hold": "H", "Reserved": "R", "Blocked": "B"}
IN_FAVOUR = {Code.HELD, Code.HELD_ALREADY, Code.RESERVED, Code.RESERVED_ALREADY}
NO_VERDICT = {Code.DEADLINE_PASSED, Code.INTERNAL_ERROR}

Group = Sequence[SeatId]


@dataclass(frozen=True)
class SeatEntry:
    """A seat as it was last written: on hold until a call finds the hold over and writes that down.

    Attributes:
        pinned_by: the reserve job that has, or had, the hold's pin.
    """

    status: SeatStatus = "Available"
    user: str = ""
    held_at: int = 0
    expires_at: int = 0
    pinned_until: int = 0
    pinned_by: str = ""
    reserved_at: int = 0
    reservation: str = ""
    reference: str = ""

    @property
    def ends(self) -> int:
        return max(self.expires_at, self.pinned_until)

    def stored(self) -> dict[str, str]:
        """Its hash, without the ids."""
        numbers = {
            "heldAt": self.held_at,
            "expiresAt": self.expires_at,
            "reservingUntil": self.pinned_until,
            "reservedAt": self.reserved_at,
        }
        names = {"reserveJob": self.pinned_by, "reservation": self.reservation, "reference": self.reference}
        fields = {**names, **{name: str(value) for name, value in numbers.items() if value}}
        told = {name: value for name, value in fields.items() if value}
        if self.status == "Blocked":
            return {"status": "Reserved", "UUID": "", "blocked": "1", **told}
        return {"status": self.status, "UUID": self.user, **told}


@dataclass
class JobEntry:
    """A job in the ledger.

    Attributes:
        ends: of a hold, when each seat's ends.
        against: of a refusal, the seats in the way.
        ticket: its number in the order of those that may be carried out; 0 until it is started.
        due: when it may be carried out at the earliest, if that was ahead.
    """

    task: Task
    created: int
    deadline: int
    sent: int
    attempts: int = 1
    status: JobStatus = "waiting"
    code: Code | None = None
    end: dict[str, int] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    against: list[tuple[SeatId, SeatStatus]] = field(default_factory=list)
    reference: str = ""
    ticket: int = 0
    due: int = 0

    @property
    def place(self) -> float:
        """Where it is kept among the open ones."""
        return self.ticket - 1e12 * self.task.vip if self.ticket else 1e15 + self.due

    def stored(self) -> dict[str, str]:
        """Its hash."""
        numbers = {
            "createdAt": self.created,
            "deadline": self.deadline,
            "sentAt": self.sent,
            "attempts": self.attempts,
            **({} if self.code is None else {"code": int(self.code)}),
            **({"notBefore": self.due} if self.due else {}),
            **self.end,
        }
        of_seats = {
            "expiresAt": " ".join(map(str, self.ends)),
            "against": " ".join(f"{seat.number}{STATUS_LETTERS[status]}" for seat, status in self.against),
            "reference": self.reference,
            "priority": "vip" if self.task.vip else "",
        }
        return {
            "type": self.task.type,
            "seatId": " ".join(map(str, self.task.seats)),
            "user": self.task.user,
            "request": self.task.request_id,
            "status": self.status,
            **{name: str(value) for name, value in numbers.items()},
            **{name: value for name, value in of_seats.items() if value},
        }


class Model:
    """One event.

    Arguments:
        event_id: its id.
        seats: how many it has.
        policy: the rules of selling.
    """

    def __init__(self, event_id: str, seats: int, policy: Policy) -> None:
        self.event_id = event_id
        self.policy = policy
        self.now = 0
        self.seats = {SeatId(event_id, number): SeatEntry() for number in range(1, seats + 1)}
        self.jobs: dict[JobId, JobEntry] = {}
        self.changes: list[dict[str, str]] = []
        self.tickets = 0
        self.calls: dict[str, list[int]] = {}
        self.lists: dict[str, list[str]] = {}
        self.maps: dict[str, str] = {}

    # What is so now

    def live(self, seat_id: SeatId) -> bool:
        """Whether the seat is on hold."""
        seat = self.seats[seat_id]
        return seat.status == "On hold" and seat.ends > self.now

    def status(self, seat_id: SeatId) -> SeatStatus:
        """What the seat is shown as."""
        seat = self.seats[seat_id]
        return "Available" if seat.status == "On hold" and not self.live(seat_id) else seat.status

    def due(self) -> list[SeatId]:
        """Seats whose hold is over without anybody having written that down, the longest overdue first."""
        over = [s for s, seat in self.seats.items() if seat.status == "On hold" and not self.live(s)]
        return sorted(over, key=lambda s: self.seats[s].ends)

    def holds(self, user: str) -> dict[SeatId, int]:
        """The seats that the user has on hold, with when each hold ends."""
        return {s: seat.ends for s, seat in self.seats.items() if self.live(s) and seat.user == user}

    def open(self) -> list[JobId]:
        """Jobs that have not ended, in the order in which they are carried out: four VIP jobs, then another one; last
        those for later."""
        jobs = [job_id for job_id, job in self.jobs.items() if job.code is None]
        jobs.sort(key=lambda job_id: (self.jobs[job_id].place, str(job_id)))
        lanes: dict[bool | None, list[JobId]] = {True: [], False: [], None: []}
        for job_id in jobs:
            job = self.jobs[job_id]
            lanes[job.task.vip if job.ticket else None].append(job_id)
        vips, others, later = lanes.values()
        order: list[JobId] = []
        while vips or others:
            order += vips[:4] + others[:1]
            vips, others = vips[4:], others[1:]
        return order + later

    def startable(self) -> list[JobId]:
        """Jobs whose time has come and that nobody has started, by that."""
        return [job_id for job_id in self.open() if not self.jobs[job_id].ticket and self.jobs[job_id].due <= self.now]

    def ends(self) -> list[int]:
        """When something will end by itself: holds, pins, and the time of open jobs."""
        holds = [seat for seat in self.seats.values() if seat.status == "On hold"]
        times = {seat.expires_at for seat in holds} | {seat.pinned_until for seat in holds}
        jobs = [self.jobs[j] for j in self.open()]
        times |= {job.deadline for job in jobs} | {job.due for job in jobs}
        return sorted(t for t in times if t > self.now)

    # The calls of Seats

    def get(self, seat_id: SeatId) -> Seat:
        seat = self.seats[seat_id]
        if seat.status == "Reserved":
            return self._reserved(seat_id, seat)
        if not self.live(seat_id):
            return Seat(id=str(seat_id), event_id=self.event_id, status=self.status(seat_id))
        pinned_until = seat.pinned_until if seat.pinned_until > self.now else None
        return self._on_hold(seat_id, seat.user, seat.expires_at).model_copy(update={"reserving_until": pinned_until})

    def of_user(self, event_id: str, user: str) -> OwnSeats:
        sold = [s for s, seat in self.seats.items() if seat.status == "Reserved" and seat.user == user]
        ends = self.holds(user)
        return OwnSeats(
            event=event_id,
            server_time=self.now,
            limit=self.policy.max_held,
            hold_duration=self.policy.hold_ms,
            holds=[self.get(s) for s in sorted(ends, key=lambda s: (ends[s], str(s)))],
            reservations=[self.get(s) for s in sorted(sold, key=lambda s: (self.seats[s].reserved_at, str(s)))],
        )

    def accept_hold(self, seats: Group, user: str, job_id: JobId, request_id: str, *, turn: Turn = NEXT) -> Accepted:
        if job_id in self.jobs:
            return self._accepted(job_id)
        if turn.not_before > self.now:
            if turn.not_before > self.now + self.policy.max_delay_ms:
                raise DelayTooLong(self.now + self.policy.max_delay_ms)
            asked = [job for other in self.open() if (job := self.jobs[other]).task.user == user and job.due > self.now]
            held = sum(len(job.task.seats) for job in asked if job.task.type == "HOLD_SEAT")
            if held + len(seats) > self.policy.max_held:
                raise LimitReached(self.policy.max_held, held, len(seats), 1)
            if 2 * sum(not self.jobs[other].ticket for other in self.open()) >= self.policy.max_open_jobs:
                raise QueueFull(self.policy.max_open_jobs)
        else:
            self._refuse(seats, partial(self._against_hold, user))
            held, wanted = len(self.holds(user)), [s for s in seats if not self.live(s)]
            if wanted and held + len(wanted) > self.policy.max_held:
                raise LimitReached(self.policy.max_held, held, len(wanted))
        self._check_queue()
        deadline = max(self.now, turn.not_before) + self.policy.hold_deadline_ms
        return self._open(job_id, Task("HOLD_SEAT", tuple(seats), user, request_id, vip=turn.vip), deadline, turn)

    def accept_reserve(
        self,
        seats: Group,
        user: str,
        job_id: JobId,
        request_id: str,
        *,
        reference: str = "",
        turn: Turn = NEXT,
    ) -> Accepted:
        def why(seat_id: SeatId) -> Refused | None:
            if self.seats[seat_id].status == "Reserved":
                return None if self.seats[seat_id].user == user else SeatReserved()
            if self.seats[seat_id].status == "Blocked":
                return SeatBlocked()
            if not self.live(seat_id):
                return NotOnHold()
            return None if self.seats[seat_id].user == user else NotHolder()

        if job_id in self.jobs:
            return self._accepted(job_id)
        self._refuse(seats, why)
        holds = {s: self.seats[s] for s in seats if self.live(s)}
        pinned = {s: seat for s, seat in holds.items() if seat.pinned_until > self.now}
        if pinned and len(pinned) == len(holds) and len({seat.pinned_by for seat in pinned.values()}) == 1:
            return self._accepted(JobId.parse(holds[next(iter(holds))].pinned_by))
        decided = max((seat.pinned_until for seat in holds.values()), default=0)
        self._refuse(seats, lambda s: ReservePending(decided) if s in pinned else None)
        if not holds:
            self._check_queue()
            turn = turn._replace(not_before=0)
        begin = [self.now if seat.pinned_by else seat.expires_at - 1 for seat in holds.values()]
        latest = min([self.now + self.policy.max_delay_ms, *begin])
        if turn.not_before > max(self.now, latest):
            raise DelayTooLong(max(self.now, latest))
        once_more = [seat.expires_at for seat in holds.values() if seat.pinned_by]
        deadline = min([max(self.now, turn.not_before) + self.policy.reserve_deadline_ms, *once_more])
        for seat_id, seat in holds.items():
            self.seats[seat_id] = replace(seat, pinned_until=deadline, pinned_by=str(job_id))
        task = Task("RESERVE_SEAT", tuple(seats), user, request_id, vip=turn.vip)
        accepted = self._open(job_id, task, deadline, turn)
        self.jobs[job_id].reference = reference
        return accepted

    def hold(self, seats: Group, user: str, job_id: JobId, request_id: str) -> Verdict:
        job = self.jobs.get(job_id)
        if job is None or job.code is not None:
            return self._verdict_of(job)
        if self.now < job.due:
            return Verdict(Code.NOT_DUE, self.now, None)
        if self.now >= job.deadline:
            return self._end(job, Code.DEADLINE_PASSED)
        try:
            self._refuse(seats, partial(self._against_hold, user))
        except Refused as refused:
            job.against = [(s, self.status(s)) for s in seats if self._against_hold(user, s)] * (len(seats) > 1)
            return self._end(job, refused.code)
        wanted = [s for s in seats if not self.live(s)]
        for seat_id in wanted:
            self._expire(seat_id, job_id, request_id)
        held = len(self.holds(user))
        if wanted and held + len(wanted) > self.policy.max_held:
            return self._end(job, Code.LIMIT_REACHED, limit=self.policy.max_held, held=held, requested=len(wanted))
        for seat_id in wanted:
            self.seats[seat_id] = SeatEntry("On hold", user, self.now, self.now + self.policy.hold_ms)
            self._record(seat_id, "held", user, job_id, request_id)
        job.ends = [self.seats[s].expires_at for s in seats]
        return self._end(job, Code.HELD if wanted else Code.HELD_ALREADY)

    def reserve(self, seats: Group, user: str, job_id: JobId, request_id: str) -> Verdict:
        job = self.jobs.get(job_id)
        if job is None or job.code is not None:
            return self._verdict_of(job)
        if self.now < job.due:
            return Verdict(Code.NOT_DUE, self.now, None)
        if self.now >= job.deadline:
            self._unpin(seats, job_id, request_id)
            return self._end(job, Code.DEADLINE_PASSED)
        if lost := [s for s in seats if self._against_reserve(user, s)]:
            sold = any(self.seats[s].status == "Reserved" for s in lost)
            job.against = [(s, self.status(s)) for s in lost] * (len(seats) > 1)
            for seat_id in seats:
                self._expire(seat_id, job_id, request_id)
                self._unpin([seat_id], job_id, request_id)
            return self._end(job, Code.SEAT_RESERVED if sold else Code.HOLD_EXPIRED)
        holds = [s for s in seats if self.seats[s].status == "On hold"]
        # Before its deadline the job's pin keeps a seat for its user: those that were on hold are.
        assert all(self.seats[s].pinned_by == str(job_id) for s in holds)
        for seat_id in holds:
            self.seats[seat_id] = SeatEntry(
                "Reserved", user, reserved_at=self.now, reservation=str(job_id), reference=job.reference
            )
            self._record(seat_id, "reserved", user, job_id, request_id)
        return self._end(job, Code.RESERVED if holds else Code.RESERVED_ALREADY)

    def fail(self, seats: Group, user: str, job_id: JobId, code: Code) -> Verdict:
        job = self.jobs.get(job_id)
        if job is None or job.code is not None:
            return self._verdict_of(job)
        if code == Code.DEADLINE_PASSED and self.now < job.deadline:
            return Verdict(Code.NOT_DUE, self.now, None)
        self._unpin(seats, job_id, "")
        return self._end(job, code)

    def refresh(self, seats: Group, user: str, request_id: str) -> list[Seat]:
        if request_id not in self.calls:
            self._check_own(seats, user, request_id)
            ceilings = {s: self.seats[s].held_at + self.policy.max_hold_ms for s in seats}
            at_it = [self.seats[s].expires_at for s in seats if self.seats[s].expires_at >= ceilings[s]]
            self._refuse(seats, lambda s: HoldCeiling(min(at_it)) if self.seats[s].expires_at >= ceilings[s] else None)
            for seat_id in seats:
                expires_at = min(self.now + self.policy.hold_ms, ceilings[seat_id])
                self.seats[seat_id] = replace(self.seats[seat_id], expires_at=expires_at)
                self._record(seat_id, "refreshed", user, "", request_id)
            self.calls[request_id] = [self.seats[s].expires_at for s in seats]
        return [self._on_hold(s, user, ends) for s, ends in zip(seats, self.calls[request_id], strict=True)]

    def release(self, seats: Group, user: str, request_id: str) -> None:
        if request_id in self.calls:
            return
        self._check_own(seats, user, request_id, or_free=True)
        for seat_id in seats:
            if self.live(seat_id):
                self._free(seat_id, "released", user, "", request_id)
        self.calls[request_id] = []

    def cancel(self, seats: Group, owner: str, by: str, request_id: str) -> None:
        def why(seat_id: SeatId) -> Refused | None:
            if self.seats[seat_id].status != "Reserved":
                return NotReserved(self.status(seat_id))
            return None if self.seats[seat_id].user == owner else NotOwner()

        if request_id in self.calls:
            return
        self._refuse(seats, why)
        for seat_id in seats:
            self._free(seat_id, "cancelled", by, "", request_id)
        self.calls[request_id] = []

    def block(self, seats: Group, by: str, reason: str, request_id: str) -> None:
        def why(seat_id: SeatId) -> Refused | None:
            if self.seats[seat_id].status == "Reserved":
                return SeatReserved()
            return SeatHeld() if self.live(seat_id) else None

        if request_id in self.calls:
            return
        self._refuse(seats, why, several=True)
        for seat_id in seats:
            self._expire(seat_id, "", request_id)
            if self.seats[seat_id].status == "Available":
                self.seats[seat_id] = SeatEntry("Blocked")
                self._record(seat_id, "blocked", by, "", request_id, reason)
        self.calls[request_id] = []

    def unblock(self, seats: Group, by: str, reason: str, request_id: str) -> None:
        if request_id in self.calls:
            return
        for seat_id in seats:
            if self.seats[seat_id].status == "Blocked":
                self.seats[seat_id] = SeatEntry()
                self._record(seat_id, "unblocked", by, "", request_id, reason)
        self.calls[request_id] = []

    def release_due(self) -> int:
        due = self.due()
        for seat_id in due:
            self._expire(seat_id, "", "")
        return len(due)

    # The calls of Ledger and Events

    def read(self, job_id: JobId) -> Job:
        job = self.jobs.get(job_id)
        if job is None:
            raise NotFound("There is no job with this id, or its result is no longer kept.")
        shown = Job(
            id=str(job_id),
            type=job.task.type,
            data=JobData(
                seat_id=str(job.task.seats[0]),
                seat_ids=list(map(str, job.task.seats)),
                user=job.task.user,
                reference=job.reference or None,
            ),
            status=job.status,
            priority="vip" if job.task.vip else "standard",
            not_before=job.due or None,
            created_at=job.created,
            deadline=job.deadline,
            server_time=self.now,
        )
        if job.code is None and self.now < job.deadline:
            return shown.model_copy(update={"position": self.open().index(job_id)})
        code = job.code or Code.DEADLINE_PASSED
        return shown.model_copy(
            update={
                "status": "failed" if code in NO_VERDICT else "completed",
                "completed_at": job.end.get("completedAt", job.deadline),
                "result": self._result(job_id, job, code),
            }
        )

    def open_jobs(self, *, vip: bool) -> list[OpenJob]:
        jobs = [(job_id, self.jobs[job_id]) for job_id in self.open()]
        return [self.open_job(job_id) for job_id, job in jobs if job.ticket and job.task.vip == vip]

    def open_job(self, job_id: JobId) -> OpenJob:
        job = self.jobs[job_id]
        return OpenJob(job_id, job.task, job.due or job.created, job.deadline, job.sent, job.attempts)

    def start(self, job_id: JobId) -> None:
        self.tickets += 1
        self.jobs[job_id].ticket, self.jobs[job_id].sent = self.tickets, self.now

    def mark_active(self, job_id: JobId) -> None:
        if (job := self.jobs.get(job_id)) and job.status == "waiting":
            job.status = "active"

    def claim_resends(self, seen: list[OpenJob]) -> list[OpenJob]:
        claimed = []
        for look in seen:
            job = self.jobs[look.job_id]
            if job.code is None and job.sent == look.sent_at:
                job.sent, job.attempts = self.now, job.attempts + 1
                claimed.append(look)
        return claimed

    def load(self, _event_id: str) -> EventLoad:
        holds = sum(seat.status == "On hold" for seat in self.seats.values())
        return EventLoad(True, self.now, len(self.due()), holds, len(self.open()), len(self.startable()))

    def list_free(self, after: int, limit: int, known: str) -> FreeList:
        due = self.due()
        free = [s for s, seat in self.seats.items() if seat.status == "Available" or s in due]
        etag = f"{len(self.changes)}-{len(due)}"
        # One ETag never names two lists.
        assert self.lists.setdefault(etag, [str(s) for s in free]) == [str(s) for s in free]
        if etag == known:
            return FreeList(etag, len(free), None, False)
        page = [str(s) for s in free if s.number > after]
        return FreeList(etag, len(free), page[: limit or None], bool(limit) and len(page) > limit)

    def seat_map(self, _event_id: str, known: str) -> Seating:
        due = self.due()
        letters = "".join("A" if s in due else STATUS_LETTERS[seat.status] for s, seat in self.seats.items())
        etag = f"{len(self.changes)}-{len(due)}"
        assert self.maps.setdefault(etag, letters) == letters
        if etag == known:
            return Seating(etag, None)
        free, held, reserved, blocked = (letters.count(letter) for letter in "AHRB")
        shown = SeatMap(
            event=self.event_id,
            sequence=len(self.changes),
            server_time=self.now,
            free=free,
            held=held,
            reserved=reserved,
            blocked=blocked,
            seats=letters,
        )
        return Seating(etag, shown)

    def kept(self, users: list[str]) -> dict[str, Any]:
        """What is to be in the store."""
        kept: dict[str, Any] = {
            "version": str(len(self.changes)),
            "tickets": str(self.tickets),
            "changes": self.changes,
            "available": {str(s): s.number for s, seat in self.seats.items() if seat.status == "Available"},
            "blocked": {str(s): s.number for s, seat in self.seats.items() if seat.status == "Blocked"},
            "holds": {str(s): seat.ends for s, seat in self.seats.items() if seat.status == "On hold"},
            "jobs": {str(j): self.jobs[j].place for j in self.open()},
        }
        for user in users:
            sold = {s: seat for s, seat in self.seats.items() if seat.status == "Reserved" and seat.user == user}
            holds = {str(s): ends for s, ends in self.holds(user).items()}
            kept[user] = holds, {str(s): seat.reserved_at for s, seat in sold.items()}
        for seat_id, seat in self.seats.items():
            kept[str(seat_id)] = {"id": str(seat_id), "eventId": self.event_id, **seat.stored()}
        # Its hash, and whether that expires.
        return kept | {str(job_id): (job.stored(), job.code is not None) for job_id, job in self.jobs.items()}

    def grow_older(self, ms: int) -> None:
        """Makes everything older."""
        for seat_id, seat in self.seats.items():
            times = {"held_at", "expires_at", "pinned_until", "reserved_at"}
            self.seats[seat_id] = replace(seat, **{t: getattr(seat, t) - ms for t in times if getattr(seat, t)})
        for job in self.jobs.values():
            job.created, job.deadline, job.sent = job.created - ms, job.deadline - ms, job.sent - ms
            job.due = job.due and job.due - ms
            job.end.update({t: job.end[t] - ms for t in ("completedAt",) if t in job.end})
            job.ends = [ends - ms for ends in job.ends]

    # What they share

    def _on_hold(self, seat_id: SeatId, user: str, expires_at: int) -> Seat:
        return Seat(
            id=str(seat_id),
            event_id=self.event_id,
            user=user,
            status="On hold",
            expires_at=expires_at,
            server_time=self.now,
        )

    def _check_queue(self) -> None:
        if len(self.open()) >= self.policy.max_open_jobs:
            raise QueueFull(self.policy.max_open_jobs)

    def _refuse(self, seats: Group, why: Callable[[SeatId], Refused | None], *, several: bool = False) -> None:
        """Raises what is in the way of all of them; of several reasons the one that stays, or else the first."""
        found = {s: error for s in seats if (error := why(s))}
        if not found:
            return
        worst_first = (
            e for kind in (SeatReserved, SeatBlocked, Refused) for e in found.values() if isinstance(e, kind)
        )
        error = next(worst_first)
        if several or len(seats) > 1:
            error.conflicts = [{"seatId": str(s), "status": self.status(s)} for s in found]
        raise error

    def _against_hold(self, user: str, seat_id: SeatId) -> Refused | None:
        if self.seats[seat_id].status == "Reserved":
            return SeatReserved()
        if self.seats[seat_id].status == "Blocked":
            return SeatBlocked()
        return SeatHeld() if self.live(seat_id) and self.seats[seat_id].user != user else None

    def _against_reserve(self, user: str, seat_id: SeatId) -> bool:
        return self.seats[seat_id].user != user or not (self.seats[seat_id].status == "Reserved" or self.live(seat_id))

    def _check_own(self, seats: Group, user: str, request_id: str, *, or_free: bool = False) -> None:
        for seat_id in seats:
            self._expire(seat_id, "", request_id)
        pins = [self.seats[s].pinned_until for s in seats if self.live(s) and self.seats[s].user == user]

        def why(seat_id: SeatId) -> Refused | None:
            seat = self.seats[seat_id]
            if seat.status == "Reserved":
                return SeatReserved()
            if seat.status == "Blocked" and not or_free:
                return SeatBlocked()
            if seat.status in ("Available", "Blocked"):
                return None if or_free else NotOnHold()
            if seat.user != user:
                return NotHolder()
            return ReservePending(max(pins)) if seat.pinned_until > self.now else None

        self._refuse(seats, why)

    def _open(self, job_id: JobId, task: Task, deadline: int, turn: Turn) -> Accepted:
        if turn.not_before > self.now:
            job = JobEntry(task, self.now, deadline, turn.not_before, due=turn.not_before)
        else:
            self.tickets += 1
            job = JobEntry(task, self.now, deadline, self.now, ticket=self.tickets)
        self.jobs[job_id] = job
        return self._accepted(job_id)

    def _accepted(self, job_id: JobId) -> Accepted:
        rank, delay_ms = 0, 0
        if job_id in self.open():
            rank = self.open().index(job_id)
            delay_ms = 0 if self.jobs[job_id].ticket else max(0, self.jobs[job_id].due - self.now)
        return Accepted(str(job_id), rank, pace_us=0, lag_ms=0, delay_ms=delay_ms)

    def _verdict_of(self, job: JobEntry | None) -> Verdict:
        return Verdict(Code.JOB_UNKNOWN if job is None or job.code is None else job.code, self.now, None)

    def _end(self, job: JobEntry, code: Code, **more: int) -> Verdict:
        job.status = "failed" if code in NO_VERDICT else "completed"
        job.code, job.end = code, {"completedAt": self.now, **more}
        return Verdict(code, self.now, self.now - (job.due or job.created))

    def _reserved(self, seat_id: SeatId, seat: SeatEntry) -> Seat:
        return Seat(
            id=str(seat_id),
            event_id=self.event_id,
            user=seat.user,
            status="Reserved",
            reservation_id=seat.reservation or None,
            reference=seat.reference or None,
        )

    def _result(self, job_id: JobId, job: JobEntry, code: Code) -> JobResult:
        if code not in IN_FAVOUR:
            return JobResult(
                success=False,
                message="",
                error=code.slug,
                limit=job.end.get("limit"),
                held=job.end.get("held"),
                requested=job.end.get("requested"),
                conflicts=[Conflict(seat_id=str(seat), status=status) for seat, status in job.against] or None,
            )
        task = job.task
        if code in (Code.HELD, Code.HELD_ALREADY):
            seats = [self._on_hold(s, task.user, ends) for s, ends in zip(task.seats, job.ends, strict=True)]
        else:
            names = (str(job_id), job.reference) if code == Code.RESERVED else ("", "")
            entry = SeatEntry("Reserved", task.user, reservation=names[0], reference=names[1])
            seats = [self._reserved(seat_id, entry) for seat_id in task.seats]
        return JobResult(success=True, message="", seat=seats[0], seats=seats)

    def _unpin(self, seats: Group, job_id: JobId, request_id: str) -> None:
        for seat_id in seats:
            seat = self.seats[seat_id]
            if seat.pinned_by == str(job_id) and seat.pinned_until:
                self.seats[seat_id] = replace(seat, pinned_until=0)
                self._expire(seat_id, job_id, request_id)

    def _expire(self, seat_id: SeatId, job_id: JobId | str, request_id: str) -> None:
        """Writes down that the hold is over, if it is."""
        if self.seats[seat_id].status == "On hold" and not self.live(seat_id):
            self._free(seat_id, "expired", "", job_id, request_id)

    def _free(self, seat_id: SeatId, cause: str, user: str, job_id: JobId | str, request_id: str) -> None:
        self.seats[seat_id] = SeatEntry()
        self._record(seat_id, cause, user, job_id, request_id)

    def _record(
        self, seat_id: SeatId, cause: str, user: str, job_id: JobId | str, request_id: str, reason: str = ""
    ) -> None:
        change = {
            "seq": str(len(self.changes) + 1),
            "seat": str(seat_id.number),
            "cause": cause,
            "actor": user,
            "job": str(job_id),
            "request": request_id,
        }
        self.changes.append(change | ({"reason": reason} if reason else {}))
