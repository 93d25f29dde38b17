"""The demo's audit: what buyers were told against what the service holds to be true."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: How long after its deadline a job may end, ms.
LATE_MS = 5_000


@dataclass
class Job:
    """A job that the service accepted, as its buyer knows it. Times in epoch ms, None until known."""

    id: str
    kind: str
    seat_id: str
    user: str
    deadline_ms: int | None = None
    ended_ms: int | None = None
    succeeded: bool = False

    @property
    def in_time(self) -> bool:
        """Whether it ended, and by its deadline (and a little)."""
        if self.ended_ms is None or self.deadline_ms is None:
            return False
        return self.ended_ms <= self.deadline_ms + LATE_MS


class Reading(NamedTuple):
    """A seat as the service shows it to somebody.

    Attributes:
        status: as in the API.
        user: whose it is, empty if that is not who asked.
    """

    status: str
    user: str


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        seats: seats that were read.
        sold: seats that somebody was told are theirs.
        jobs: jobs that were accepted.
        two_owners: ids of seats that more than one buyer was told are theirs.
        mismatches: a line about each seat of which the service and a buyer think differently.
        never_ended: ids of jobs without an end in time.
    """

    seats: int
    sold: int
    jobs: int
    two_owners: list[str]
    mismatches: list[str]
    never_ended: list[str]

    @property
    def passed(self) -> bool:
        return not (self.two_owners or self.mismatches or self.never_ended)


def owners_by_seat(jobs: Iterable[Job]) -> dict[str, set[str]]:
    """Everybody who was told, by a completed and successful reservation, that a seat is theirs."""
    owners = defaultdict(set)
    for job in jobs:
        if job.kind == "reserve" and job.succeeded:
            owners[job.seat_id].add(job.user)
    return dict(owners)


def audit(jobs: Iterable[Job], readings: Mapping[tuple[str, str], Reading]) -> Audit:
    """Compares jobs and seats.

    Arguments:
        jobs: every accepted job.
        readings: of every seat, by seat id and the UUID that was presented: once for each of its
            owners, or once with an empty UUID if it has none.
    """
    jobs = list(jobs)
    owners = owners_by_seat(jobs)
    mismatches = []
    for (seat_id, asked_as), seat in readings.items():
        if asked_as and seat.status != "Reserved":
            mismatches.append(f"{seat_id}: {shortened(asked_as)} was told it is theirs, but it is {seat.status}")
        elif asked_as and seat.user != asked_as:
            mismatches.append(f"{seat_id}: {shortened(asked_as)} was told it is theirs, but it is another's")
        elif not asked_as and seat.status not in ("Available", "On hold"):
            mismatches.append(f"{seat_id}: nobody was told it is theirs, but it is {seat.status}")
    unread = sorted({(seat_id, user) for seat_id, users in owners.items() for user in users} - readings.keys())
    mismatches += [f"{seat_id}: {shortened(user)} was told it is theirs; it was not read" for seat_id, user in unread]
    return Audit(
        seats=len({seat_id for seat_id, _ in readings}),
        sold=len(owners),
        jobs=len(jobs),
        two_owners=sorted(seat_id for seat_id, users in owners.items() if len(users) > 1),
        mismatches=mismatches,
        never_ended=[job.id for job in jobs if not job.in_time],
    )


def shortened(user: str) -> str:
    """Enough of a UUID to tell buyers apart: the whole of it is a credential."""
    return f"{user[:8]}…"
