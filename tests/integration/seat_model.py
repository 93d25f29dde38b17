"""The reference model: what the seats of one event, their jobs and their history have to be.

Plain Python without sets, locks or a queue. Its calls are named, answer and refuse as the store's do. They
take `now` from the model, which whoever drives it sets to the time that the server's clock showed in the
same call. Times are epoch ms.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from reservation.codes import Code
from reservation.errors import (
    LimitReached,
    NotFound,
    NotHolder,
    NotOnHold,
    QueueFull,
    ReservePending,
    SeatHeld,
    SeatReserved,
)
from reservation.events import EventLoad, FreeList, Seating
from reservation.ids import JobId, SeatId
from reservation.jobs import OpenJob, Task
from reservation.models import Job, JobData, JobResult, JobStatus, OwnSeats, Seat, SeatMap, SeatStatus
from reservation.seats import Accepted, Policy, Verdict

IN_FAVOUR = {Code.HELD, Code.HELD_ALREADY, Code.RESERVED, Code.RESERVED_ALREADY}
NO_VERDICT = {Code.DEADLINE_PASSED, Code.INTERNAL_ERROR}


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
        fields = {"reserveJob": self.pinned_by, **{name: str(value) for name, value in numbers.items() if value}}
        return {"status": self.status, "UUID": self.user, **{name: value for name, value in fields.items() if value}}


@dataclass
class JobEntry:
    """A job in the ledger."""

    task: Task
    created: int
    deadline: int
    sent: int
    attempts: int = 1
    status: JobStatus = "waiting"
    code: Code | None = None
    end: dict[str, int] = field(default_factory=dict)

    def stored(self) -> dict[str, str]:
        """Its hash."""
        numbers = {
            "createdAt": self.created,
            "deadline": self.deadline,
            "sentAt": self.sent,
            "attempts": self.attempts,
            **({} if self.code is None else {"code": int(self.code)}),
            **self.end,
        }
        return {
            "type": self.task.type,
            "seatId": str(self.task.seat_id),
            "user": self.task.user,
            "request": self.task.request_id,
            "status": self.status,
            **{name: str(value) for name, value in numbers.items()},
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
        self.calls: dict[str, int] = {}
        self.lists: dict[str, list[str]] = {}
        self.maps: dict[str, str] = {}

    # What is so now

    def live(self, seat_id: SeatId) -> bool:
        """Whether the seat is on hold."""
        seat = self.seats[seat_id]
        return seat.status == "On hold" and seat.ends > self.now

    def due(self) -> list[SeatId]:
        """Seats whose hold is over without anybody having written that down, the longest overdue first."""
        over = [s for s, seat in self.seats.items() if seat.status == "On hold" and not self.live(s)]
        return sorted(over, key=lambda s: self.seats[s].ends)

    def holds(self, user: str) -> dict[SeatId, int]:
        """The seats that the user has on hold, with when each hold ends."""
        return {s: seat.ends for s, seat in self.seats.items() if self.live(s) and seat.user == user}

    def open(self) -> list[JobId]:
        """Jobs that have not ended, in the order of their acceptance."""
        return [job_id for job_id, job in self.jobs.items() if job.code is None]

    def ends(self) -> list[int]:
        """When something will end by itself: holds, pins, and the time of open jobs."""
        holds = [seat for seat in self.seats.values() if seat.status == "On hold"]
        times = {seat.expires_at for seat in holds} | {seat.pinned_until for seat in holds}
        return sorted(t for t in times | {self.jobs[j].deadline for j in self.open()} if t > self.now)

    # The calls of Seats

    def get(self, seat_id: SeatId) -> Seat:
        seat = self.seats[seat_id]
        if seat.status == "Reserved":
            return Seat(id=str(seat_id), event_id=self.event_id, user=seat.user, status="Reserved")
        if not self.live(seat_id):
            return Seat(id=str(seat_id), event_id=self.event_id, status="Available")
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

    def accept_hold(self, seat_id: SeatId, user: str, job_id: JobId, request_id: str) -> Accepted:
        if job_id in self.jobs:
            return self._accepted(job_id)
        seat, held = self.seats[seat_id], len(self.holds(user))
        if seat.status == "Reserved":
            raise SeatReserved
        if self.live(seat_id) and seat.user != user:
            raise SeatHeld
        if not self.live(seat_id) and held >= self.policy.max_held:
            raise LimitReached(self.policy.max_held, held)
        self._check_queue()
        deadline = self.now + self.policy.hold_deadline_ms
        return self._open(job_id, Task("HOLD_SEAT", seat_id, user, request_id), deadline)

    def accept_reserve(self, seat_id: SeatId, user: str, job_id: JobId, request_id: str) -> Accepted:
        if job_id in self.jobs:
            return self._accepted(job_id)
        seat = self.seats[seat_id]
        task = Task("RESERVE_SEAT", seat_id, user, request_id)
        deadline = self.now + self.policy.reserve_deadline_ms
        if seat.status == "Reserved":
            if seat.user != user:
                raise SeatReserved
            self._check_queue()
            return self._open(job_id, task, deadline)
        if not self.live(seat_id):
            raise NotOnHold
        if seat.user != user:
            raise NotHolder
        if seat.pinned_until > self.now:
            return self._accepted(JobId.parse(seat.pinned_by))
        if seat.pinned_by:
            deadline = min(deadline, seat.expires_at)
        self.seats[seat_id] = replace(seat, pinned_until=deadline, pinned_by=str(job_id))
        return self._open(job_id, task, deadline)

    def hold(self, seat_id: SeatId, user: str, job_id: JobId, request_id: str) -> Verdict:
        job = self.jobs.get(job_id)
        if job is None or job.code is not None:
            return self._verdict_of(job)
        if self.now >= job.deadline:
            return self._end(job, Code.DEADLINE_PASSED)
        seat = self.seats[seat_id]
        if seat.status == "Reserved":
            return self._end(job, Code.SEAT_RESERVED)
        if self.live(seat_id):
            if seat.user == user:
                return self._end(job, Code.HELD_ALREADY, expiresAt=seat.expires_at)
            return self._end(job, Code.SEAT_HELD)
        if seat.status == "On hold":
            self._free(seat_id, "expired", "", job_id, request_id)
        held = len(self.holds(user))
        if held >= self.policy.max_held:
            return self._end(job, Code.LIMIT_REACHED, limit=self.policy.max_held, held=held)
        expires_at = self.now + self.policy.hold_ms
        self.seats[seat_id] = SeatEntry("On hold", user, self.now, expires_at)
        self._record(seat_id, "held", user, job_id, request_id)
        return self._end(job, Code.HELD, expiresAt=expires_at)

    def reserve(self, seat_id: SeatId, user: str, job_id: JobId, request_id: str) -> Verdict:
        job = self.jobs.get(job_id)
        if job is None or job.code is not None:
            return self._verdict_of(job)
        if self.now >= job.deadline:
            self._unpin(seat_id, job_id, request_id)
            return self._end(job, Code.DEADLINE_PASSED)
        if self.seats[seat_id].status == "Reserved":
            return self._end(job, Code.RESERVED_ALREADY)
        # Before its deadline the job's pin keeps the seat for its user: no other verdict is possible.
        assert self.seats[seat_id].pinned_by == str(job_id)
        self.seats[seat_id] = SeatEntry("Reserved", user, reserved_at=self.now)
        self._record(seat_id, "reserved", user, job_id, request_id)
        return self._end(job, Code.RESERVED)

    def fail(self, seat_id: SeatId, user: str, job_id: JobId, code: Code) -> Verdict:
        job = self.jobs.get(job_id)
        if job is None or job.code is not None:
            return self._verdict_of(job)
        if code == Code.DEADLINE_PASSED and self.now < job.deadline:
            return Verdict(Code.NOT_DUE, self.now, None)
        self._unpin(seat_id, job_id, "")
        return self._end(job, code)

    def refresh(self, seat_id: SeatId, user: str, request_id: str) -> Seat:
        if request_id in self.calls:
            return self._on_hold(seat_id, user, self.calls[request_id])
        self._check_own(seat_id, user, request_id)
        expires_at = self.now + self.policy.hold_ms
        self.seats[seat_id] = replace(self.seats[seat_id], expires_at=expires_at)
        self._record(seat_id, "refreshed", user, "", request_id)
        self.calls[request_id] = expires_at
        return self._on_hold(seat_id, user, expires_at)

    def release(self, seat_id: SeatId, user: str, request_id: str) -> None:
        if request_id in self.calls:
            return
        try:
            self._check_own(seat_id, user, request_id)
        except NotOnHold:
            pass
        else:
            self._free(seat_id, "released", user, "", request_id)
        self.calls[request_id] = 0

    def release_due(self) -> int:
        due = self.due()
        for seat_id in due:
            self._free(seat_id, "expired", "", "", "")
        return len(due)

    # The calls of Ledger and Events

    def read(self, job_id: JobId) -> Job:
        job = self.jobs.get(job_id)
        if job is None:
            raise NotFound("There is no job with this id, or its result is no longer kept.")
        shown = Job(
            id=str(job_id),
            type=job.task.type,
            data=JobData(seat_id=str(job.task.seat_id), user=job.task.user),
            status=job.status,
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
                "result": self._result(job, code),
            }
        )

    def open_jobs(self) -> list[OpenJob]:
        entries = [(job_id, self.jobs[job_id]) for job_id in self.open()]
        return [OpenJob(job_id, job.task, job.created, job.deadline, job.sent, job.attempts) for job_id, job in entries]

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
        return EventLoad(True, self.now, len(self.due()), holds, len(self.open()))

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
        due, letter = self.due(), {"Available": "A", "On hold": "H", "Reserved": "R"}
        letters = "".join("A" if s in due else letter[seat.status] for s, seat in self.seats.items())
        etag = f"{len(self.changes)}-{len(due)}"
        assert self.maps.setdefault(etag, letters) == letters
        if etag == known:
            return Seating(etag, None)
        free, held, reserved = (letters.count(letter) for letter in "AHR")
        shown = SeatMap(
            event=self.event_id,
            sequence=len(self.changes),
            server_time=self.now,
            free=free,
            held=held,
            reserved=reserved,
            seats=letters,
        )
        return Seating(etag, shown)

    def kept(self, users: list[str]) -> dict[str, Any]:
        """What is to be in the store."""
        kept: dict[str, Any] = {
            "version": str(len(self.changes)),
            "tickets": str(len(self.jobs)),
            "changes": self.changes,
            "available": {str(s): s.number for s, seat in self.seats.items() if seat.status == "Available"},
            "holds": {str(s): seat.ends for s, seat in self.seats.items() if seat.status == "On hold"},
            "jobs": {str(j): ticket for ticket, j in enumerate(self.jobs, 1) if self.jobs[j].code is None},
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
            job.end.update({t: job.end[t] - ms for t in ("completedAt", "expiresAt") if t in job.end})

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

    def _check_own(self, seat_id: SeatId, user: str, request_id: str) -> None:
        seat = self.seats[seat_id]
        if seat.status == "Reserved":
            raise SeatReserved
        if not self.live(seat_id):
            if seat.status == "On hold":
                self._free(seat_id, "expired", "", "", request_id)
            raise NotOnHold
        if seat.user != user:
            raise NotHolder
        if seat.pinned_until > self.now:
            raise ReservePending(seat.pinned_until)

    def _open(self, job_id: JobId, task: Task, deadline: int) -> Accepted:
        self.jobs[job_id] = JobEntry(task, self.now, deadline, self.now)
        return self._accepted(job_id)

    def _accepted(self, job_id: JobId) -> Accepted:
        rank = self.open().index(job_id) if job_id in self.open() else 0
        return Accepted(str(job_id), rank, pace_us=0, lag_ms=0)

    def _verdict_of(self, job: JobEntry | None) -> Verdict:
        return Verdict(Code.JOB_UNKNOWN if job is None or job.code is None else job.code, self.now, None)

    def _end(self, job: JobEntry, code: Code, **more: int) -> Verdict:
        job.status = "failed" if code in NO_VERDICT else "completed"
        job.code, job.end = code, {"completedAt": self.now, **more}
        return Verdict(code, self.now, self.now - job.created)

    def _result(self, job: JobEntry, code: Code) -> JobResult:
        if code not in IN_FAVOUR:
            limit, held = job.end.get("limit"), job.end.get("held")
            return JobResult(success=False, message="", error=code.slug, limit=limit, held=held)
        seat_id, user = job.task.seat_id, job.task.user
        if code in (Code.HELD, Code.HELD_ALREADY):
            seat = self._on_hold(seat_id, user, job.end["expiresAt"])
        else:
            seat = Seat(id=str(seat_id), event_id=self.event_id, user=user, status="Reserved")
        return JobResult(success=True, message="", seat=seat)

    def _unpin(self, seat_id: SeatId, job_id: JobId, request_id: str) -> None:
        seat = self.seats[seat_id]
        if seat.pinned_by != str(job_id) or not seat.pinned_until:
            return
        self.seats[seat_id] = replace(seat, pinned_until=0)
        if not self.live(seat_id):
            self._free(seat_id, "expired", "", job_id, request_id)

    def _free(self, seat_id: SeatId, cause: str, user: str, job_id: JobId | str, request_id: str) -> None:
        self.seats[seat_id] = SeatEntry()
        self._record(seat_id, cause, user, job_id, request_id)

    def _record(self, seat_id: SeatId, cause: str, user: str, job_id: JobId | str, request_id: str) -> None:
        self.changes.append(
            {
                "seq": str(len(self.changes) + 1),
                "seat": str(seat_id.number),
                "cause": cause,
                "actor": user,
                "job": str(job_id),
                "request": request_id,
            }
        )
