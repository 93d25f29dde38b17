"""The job ledger: the truth about every accepted job. A queue message only wakes a worker."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any, NamedTuple

import redis

from reservation import keys
from reservation.clients import Command
from reservation.codes import Code
from reservation.errors import NotFound, conflicts, none_of_them, refusal
from reservation.fields import INSIDER, Adjacent, JobType, SeatStatus
from reservation.fleet import Lag
from reservation.ids import JobId, SeatId, parse_seats
from reservation.models import Conflict, Job, JobData, JobResult, Seat
from reservation.scripts import Scripts

#: Where jobs stand in event:{E}:jobs whose time has not come (lua/_turn.lua): from here on.
LATER = 10**15
#: How many are started in one go.
_STARTED = 100
#: The others: by their tickets, VIP jobs apart.
_LANES = {True: ("-inf", "(0"), False: ("(0", f"({LATER}")}
_NO_LAG = Lag()
#: Keys that a SCAN looks at in one go: less than a millisecond, in which nobody else is served.
_SCAN = 1_000

#: Verdicts in the job's favour: the seats' status then, and what people are told of one, and of several.
_DONE: dict[Code, tuple[SeatStatus, str, str]] = {
    Code.HELD: ("On hold", "The seat is on hold for you.", "The seats are on hold for you."),
    Code.HELD_ALREADY: (
        "On hold",
        "You were holding this seat already; its expiry is unchanged.",
        "You were holding these seats already; their expiry is unchanged.",
    ),
    Code.RESERVED: ("Reserved", "The seat is reserved for you.", "The seats are reserved for you."),
    Code.RESERVED_ALREADY: ("Reserved", "You had reserved this seat already.", "You had reserved these seats already."),
}
#: Every other end.
_REFUSED = {
    Code.SEAT_HELD: "Another user holds this seat.",
    Code.SEAT_RESERVED: "This seat is reserved.",
    Code.SEAT_BLOCKED: "This seat is not for sale.",
    Code.SEAT_UNKNOWN: "There is no such seat.",
    Code.EVENT_CLOSED: "Sales had ended.",
    Code.LIMIT_REACHED: "You hold as many seats as is allowed.",
    Code.HOLD_EXPIRED: "Your hold had ended.",
    Code.NO_SEATS_TOGETHER: "There are not so many free seats next to one another.",
    Code.TOO_FEW_SEATS: "There are not so many free seats.",
    Code.DEADLINE_PASSED: "The request could not be carried out in time. Nothing was changed.",
    Code.INTERNAL_ERROR: "The request could not be carried out. Nothing was changed.",
}


class Task(NamedTuple):
    """What a worker needs to know of a job. Its seats are all of one event.

    Attributes:
        adjacent: of one for the best seats; those it has are a first choice then.
        vip: whether it goes before others.
    """

    type: JobType
    seats: tuple[SeatId, ...]
    user: str
    request_id: str
    adjacent: Adjacent | None = None
    vip: bool = False


class OpenJob(NamedTuple):
    """What the sweeper needs to know of a job. Times in epoch ms.

    Attributes:
        since: when it could be carried out at the earliest.
    """

    job_id: JobId
    task: Task
    since: int
    deadline: int
    sent_at: int
    attempts: int


class Ledger:
    """Reads and looks after jobs. Their ends are written by the scripts behind `Seats`.

    Arguments:
        scripts: on the state database.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def read(self, job_id: JobId, lag: Lag = _NO_LAG, viewer: str | None = INSIDER) -> Job:
        """Reads a job as it is now. Raises NotFound, StateUnavailable.

        A job whose deadline has passed reads as failed: no worker can carry it out any more, and the
        sweeper only has to write that down.

        Arguments:
            lag: how long jobs wait before a worker starts them, for the estimate.
            viewer: the UUID that the reader presents. The job's user is shown to nobody else.
        """
        return _job(job_id, self._found(job_id), lag, viewer)

    def read_awaited(self, job_id: JobId, channel: str, lag: Lag = _NO_LAG, viewer: str | None = INSIDER) -> Job:
        """As `read`; if the job is open, its id will be published to a channel when a script ends it. A job that
        nobody ends reads as failed from its deadline on, of which nobody is told."""
        names, args = _read_call(job_id)
        return _job(job_id, _known(self._scripts.run("await_job", names, [*args, channel])), lag, viewer)

    def read_each(self, job_ids: Sequence[JobId]) -> list[Job]:
        """Reads several jobs in one go; leaves out those that are not kept, or cannot be reached. Raises
        StateUnavailable if none can."""
        replies = self._scripts.run_each("read_job", list(map(_read_call, job_ids))) if job_ids else []
        return [
            _job(job_id, reply) for job_id, reply in zip(job_ids, replies, strict=True) if reply and reply[0] == Code.OK
        ]

    def entry(self, job_id: JobId) -> dict[str, str]:
        """All that the ledger has about a job, as it is there. Raises NotFound, StateUnavailable."""
        _, _, _, _, *pairs = self._found(job_id)
        return dict(zip(pairs[::2], pairs[1::2], strict=True))

    def open_ids(self, event_ids: Sequence[str], most: int, *, newest: bool) -> list[JobId]:
        """The newest, or oldest, open jobs of each of several events, in one go. Raises StateUnavailable.

        Arguments:
            most: so many of each event; 0: all.
        """
        range_of = _newest if newest else _oldest
        commands: list[Command] = []
        for key in map(keys.jobs, event_ids):
            commands += [range_of(key, *_LANES[vip], most or -1) for vip in (True, False)]
            commands.append(("ZRANGEBYSCORE", key, LATER, "+inf"))  # in another order
        found = self._scripts.execute_each(commands) if commands else []
        return [JobId.parse(text) for page in found if page for text in page]

    def scan(self, event_id: str | None, most: int) -> Iterator[list[JobId]]:
        """Jobs that are kept, ended ones too, a page at a time and in no order; some may come twice. Raises
        StateUnavailable.

        Arguments:
            event_id: only of this event, which makes it no faster.
            most: keys of all kinds that are looked at; each is about a microsecond of the server's time.
        """
        looked = 0

        def look(server: redis.Redis) -> Iterator[list[JobId]]:
            nonlocal looked
            cursor = -1
            while cursor and looked < most:
                page: Any = server.scan(max(cursor, 0), match=keys.jobs_like(event_id), count=_SCAN)
                cursor, found = page
                yield [job_id for job_id in map(keys.job_of, found) if job_id is not None]
                looked += _SCAN

        return self._scripts.of_each_server(look)

    def kept(self) -> int:
        """Keys of all kinds, through which `scan` looks. Raises StateUnavailable."""
        return sum(self._scripts.of_each_server(lambda server: [int(server.dbsize())]))

    def _found(self, job_id: JobId) -> list[Any]:
        return _known(self._scripts.run("read_job", *_read_call(job_id)))

    def task(self, job_id: JobId) -> Task:
        """What is to be done for a job. Raises NotFound, StateUnavailable."""
        tasks = list(self._read([job_id]))
        if not tasks:
            raise NotFound("There is no job with this id.")
        return tasks[0].task

    def open_jobs(self, event_id: str, first: int, most: int, *, vip: bool = False) -> list[OpenJob]:
        """The event's open jobs by ticket, from the `first` of them on; of one lane, and none whose time has not come.
        Raises StateUnavailable."""
        ids = self._scripts.execute("ZRANGEBYSCORE", keys.jobs(event_id), *_LANES[vip], "LIMIT", first, most)
        return list(self._read([JobId.parse(text) for text in ids]))

    def start_due(self, event_id: str, now_ms: int) -> list[OpenJob]:
        """Gives jobs their tickets whose time has come, for their messages to be sent. Raises StateUnavailable.

        Arguments:
            now_ms: by the server's clock.
        """
        jobs = keys.jobs(event_id)
        due = self._scripts.execute("ZRANGEBYSCORE", jobs, LATER, LATER + now_ms, "LIMIT", 0, _STARTED)
        if not due:
            return []
        names = [keys.event(event_id), jobs, *(keys.job(JobId.parse(text)) for text in due)]
        return list(self._read([JobId.parse(text) for text in self._scripts.run("start_due", names, due)]))

    def _read(self, job_ids: list[JobId]) -> Iterator[OpenJob]:
        numbers = ["createdAt", "deadline", "sentAt", "attempts"]
        names = ["type", "seatId", "user", "request", "adjacent", "priority", "notBefore", *numbers]
        replies = self._scripts.execute_each([("HMGET", keys.job(job_id), *names) for job_id in job_ids])
        for job_id, fields in zip(job_ids, replies, strict=True):
            if fields is not None and fields[0] is not None:
                type_, seats, user, request, adjacent, priority, not_before, created_at, *of_job = fields
                task = Task(type_, parse_seats(seats), user, request, adjacent, priority == "vip")
                yield OpenJob(job_id, task, int(not_before or created_at), *map(int, of_job))

    def claim_resends(self, jobs: list[OpenJob]) -> list[OpenJob]:
        """Takes the right to send jobs' messages once more; returns those of which it got it. Raises
        StateUnavailable."""
        claims = self._scripts.run_each("claim_resend", [([keys.job(job.job_id)], [job.sent_at]) for job in jobs])
        return [job for job, claimed in zip(jobs, claims, strict=True) if claimed]

    def mark_active(self, job_id: JobId) -> None:
        """Shows that a worker is busy with the job; decides nothing. Raises StateUnavailable."""
        self._scripts.run("mark_active", [keys.job(job_id)])


def estimate_s(rank: int, pace_us: int, lag_ms: int, delay_ms: int = 0) -> int:
    """Whole seconds until a job of this rank is done, rounded up: the larger of what the event's own
    pace and what the queue's lag lets expect; the latter from when it may be carried out."""
    return ceil(max(rank * pace_us / 1e6, (delay_ms + lag_ms) / 1e3))


def _oldest(key: str, lowest: str, highest: str, most: int) -> Command:
    return "ZRANGEBYSCORE", key, lowest, highest, "LIMIT", 0, most


def _newest(key: str, lowest: str, highest: str, most: int) -> Command:
    return "ZREVRANGEBYSCORE", key, highest, lowest, "LIMIT", 0, most


def _read_call(job_id: JobId) -> tuple[list[str], list[str | int]]:
    return [keys.job(job_id), keys.jobs(job_id.event), keys.event(job_id.event)], [str(job_id)]


def _known(reply: list[Any]) -> list[Any]:
    if reply[0] != Code.OK:
        raise refusal(Code(reply[0]))
    return reply


def _job(job_id: JobId, reply: list[Any], lag: Lag = _NO_LAG, viewer: str | None = INSIDER) -> Job:
    """A job, of what `read_job` says of it."""
    _, now, rank, pace_us, *pairs = reply
    fields = {"id": str(job_id), **dict(zip(pairs[::2], pairs[1::2], strict=True))}
    deadline = int(fields["deadline"])
    if "code" not in fields and now >= deadline:
        fields.update(status="failed", code=Code.DEADLINE_PASSED, completedAt=deadline)
    if viewer not in (INSIDER, fields["user"]):
        fields["user"] = fields["id"] = ""
        fields.pop("reference", None)
    is_open = "code" not in fields
    priority, delay_ms = fields.get("priority", "standard"), max(0, int(fields.get("notBefore", 0)) - now)
    lag_ms = lag.of(vip=priority == "vip")
    seat_ids = fields["seatId"].split(" ")
    return Job(
        id=str(job_id),
        type=fields["type"],
        data=JobData(
            seat_id=seat_ids[0],
            seat_ids=seat_ids,
            user=fields["user"],
            reference=fields.get("reference"),
            adjacent=fields.get("adjacent"),
            quantity=len(seat_ids) if "adjacent" in fields else None,
        ),
        status=fields["status"],
        retry_of=fields.get("retryOf"),
        priority=priority,
        not_before=fields.get("notBefore"),
        result=None if is_open else _result(fields, fields["got"].split(" ") if "got" in fields else seat_ids, now),
        created_at=fields["createdAt"],
        completed_at=fields.get("completedAt"),
        deadline=deadline,
        position=rank if is_open and rank >= 0 else None,
        estimated_wait_time=estimate_s(rank, pace_us, lag_ms, delay_ms) if is_open and rank >= 0 else None,
        server_time=now,
    )


def _result(fields: dict[str, str], seat_ids: list[str], now: int) -> JobResult:
    code, event_id = Code(int(fields["code"])), seat_ids[0].partition("-")[0]
    if code not in _DONE:
        limit, held, requested = (
            int(fields[name]) if name in fields else None for name in ("limit", "held", "requested")
        )
        largest_block, free = (int(fields[name]) if name in fields else None for name in ("largestBlock", "free"))
        found = fields.get("against", "").split()
        against = [Conflict.model_validate(each) for each in conflicts(event_id, found)]
        return JobResult(
            success=False,
            message=none_of_them(found) if found else _REFUSED[code],
            largest_block=largest_block,
            free=free,
            error=code.slug,
            limit=limit,
            held=held,
            requested=requested,
            conflicts=against or None,
        )
    status, of_one, of_several = _DONE[code]
    ends = fields["expiresAt"].split(" ") if status == "On hold" else [None] * len(seat_ids)
    seats = [
        Seat(
            id=seat_id,
            event_id=event_id,
            user=fields["user"],
            status=status,
            expires_at=None if expires_at is None else int(expires_at),
            server_time=None if expires_at is None else now,
            reservation_id=fields["id"] or None if code == Code.RESERVED else None,
            reference=fields.get("reference") if code == Code.RESERVED else None,
        )
        for seat_id, expires_at in zip(seat_ids, ends, strict=True)
    ]
    message = of_one if len(seats) == 1 else of_several
    return JobResult(success=True, message=message, seat=seats[0], seats=seats)
