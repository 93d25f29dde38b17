"""What all clients of a load saw: operations, accepted jobs, and the rules by which seats were sold."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tests.faults.history import History, Op

JobKind = Literal["hold", "best", "reserve"]
CallKind = Literal["refresh", "release", "cancel", "block", "unblock"]


@dataclass
class Job:
    """A job that the service accepted. Times in epoch ms, None until known.

    Attributes:
        seats: those that it is about, in the job's order; until that was read, those that the client named.
        accepted_ms: by the service's clock; until that was read, when the client was told.
        completed_ms: when it ended, as the service says.
        seen_ms: when a client first saw that it had ended.
        outcome: as in `Op.outcome`.
    """

    id: str
    kind: JobKind
    seats: tuple[str, ...]
    user: str
    accepted_ms: int
    deadline_ms: int | None = None
    completed_ms: int | None = None
    seen_ms: int | None = None
    outcome: str | None = None


@dataclass
class Call:
    """What a client did at once to one seat or several; `outcome` is None if that had no answer, else as in
    `Op.outcome`, of a refusal the problem's name."""

    kind: CallKind
    seats: tuple[str, ...]
    user: str
    outcome: str | None


class Door(NamedTuple):
    """How an event with a waiting room lets people in: from when on, epoch ms, and how many a minute."""

    opens_ms: int
    per_minute: int


class Look(NamedTuple):
    """What a client was told of a ticket. Times in epoch ms, by the service's clock.

    Attributes:
        drawn: whether it was made then.
        admitted_ms: its slot, once there is one.
    """

    event: str
    user: str
    ticket: str
    status: str
    drawn: bool
    server_ms: int
    admitted_ms: int | None


@dataclass
class Record:
    """What clients saw. Safe to use from several threads.

    Attributes:
        events: number of seats by event.
        users: the UUID of each client. What two clients with the same one do races with itself.
        max_held: most seats of an event that a user may hold.
        hold_ms: length of a hold.
        max_hold_ms: how long a hold may last however often it is refreshed.
        doors: of the events that have a waiting room.
        looks: at tickets for those.
        calls: what was neither a job nor a read, by the id that its request had.
        jobs: accepted jobs by id, those included that a client learnt of only later, after a 503.
    """

    events: Mapping[str, int]
    users: Sequence[str]
    max_held: int
    hold_ms: int
    max_hold_ms: int
    doors: Mapping[str, Door] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    history: History = field(default_factory=History)
    jobs: dict[str, Job] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    _pins: list[tuple[Op, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_job(self, job: Job) -> bool:
        """Notes an accepted job; returns whether it is new."""
        with self._lock:
            return self.jobs.setdefault(job.id, job) is job

    def add_call(self, request_id: str, call: Call) -> None:
        """Notes what was done at once, or may have been."""
        with self._lock:
            self.calls[request_id] = call

    def add_look(self, look: Look) -> None:
        """Notes what was told of a ticket."""
        with self._lock:
            self.looks.append(look)

    def add_pin(self, pin: Op, answered_ms: int) -> None:
        """Notes that the accept of a reserve was answered with its job."""
        with self._lock:
            self._pins.append((pin, answered_ms))

    def label_pins(self) -> None:
        """Says of each accepted reserve what is known of it once the jobs have ended.

        The answer does not tell what the accept did. It pinned the hold, or found it pinned by the job with
        which it was answered, or found that the user has reserved the seat. The request that was under way when
        the job was made is the one that made it. Who asks for several seats that are in one job is answered with
        that, whichever else it has: a seat that is not in it was the user's already.
        """
        made: set[tuple[str, str]] = set()
        for pin, answered_ms in self._pins:
            job = self.jobs[pin.job]
            if job.outcome is None:
                continue
            pin.return_ms, pin.until_ms = answered_ms, None
            if pin.seat not in job.seats:
                pin.outcome, pin.job = "accepted", ""
                continue
            pin.outcome, pin.reserving_until = "let-in", job.deadline_ms
            if pin.call_ms <= job.accepted_ms <= answered_ms and (job.id, pin.seat) not in made:
                made.add((job.id, pin.seat))
                pin.at_ms = job.accepted_ms

    def first_verdict_after(self, moment_ms: int) -> int | None:
        """When a client first saw the success of a job that ended at `moment_ms` or later, epoch ms."""
        good = ("held", "held-already", "reserved", "reserved-already")
        jobs = [job for job in self.jobs.values() if job.outcome in good and (job.completed_ms or 0) >= moment_ms]
        return min((job.seen_ms for job in jobs if job.seen_ms is not None), default=None)

    def all_ended_after(self, moment_ms: int) -> int | None:
        """When the last of the jobs that were accepted before `moment_ms` was seen ended, epoch ms: an earlier
        time than `moment_ms` if none was open then. None if one was never seen to end."""
        seen = [job.seen_ms for job in self.jobs.values() if job.accepted_ms < moment_ms]
        ended = [ms for ms in seen if ms is not None]
        return max(ended, default=moment_ms) if len(ended) == len(seen) else None
