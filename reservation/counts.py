"""What has become of jobs and holds, counted where they end: for Prometheus in each process, and for the service as a
whole in the state's server, to which each process tells with its heartbeat what it has counted since the last.
"""

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast, get_args

from reservation import metrics
from reservation.codes import Code
from reservation.fields import JobType
from reservation.ids import JobId
from reservation.metrics import JOB_BUCKETS, OUTCOMES
from reservation.seats import Verdict

#: Failed jobs that are remembered, the last ones.
FAILED_KEPT = 50
#: How a job ends of which nobody can say more than that it failed.
_NO_VERDICT = {Code.DEADLINE_PASSED, Code.INTERNAL_ERROR}

_TYPES: Sequence[JobType] = get_args(JobType)
_EXPIRED = "expired"
#: Names of the hash's fields: of jobs by how they ended, and by the first bucket that their time fits into.
_ENDED = {(kind, code): f"ended:{kind}:{code.slug}" for kind in _TYPES for code in OUTCOMES}
_TOOK = {kind: [f"took:{kind}:{bound}" for bound in (*JOB_BUCKETS, "inf")] for kind in _TYPES}


class Batch(NamedTuple):
    """What a process has counted, to be added to what all have.

    Attributes:
        number: one more than that of the batch before it; 0 if there is nothing in it.
        counted: by field.
        failed: jobs, the oldest first.
    """

    number: int
    counted: Mapping[str, int]
    failed: Sequence[str]

    @property
    def arguments(self) -> list[str | int]:
        """As lua/heartbeat.lua takes them."""
        fields = [part for pair in self.counted.items() for part in pair]
        return [self.number, len(self.counted), *fields, *self.failed]


class Counts:
    """What a process counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: Counter[str] = Counter()
        self._failed: deque[str] = deque(maxlen=FAILED_KEPT)
        self._last = Batch(0, {}, ())
        self._told = True

    def job_ended(self, kind: JobType, job_id: JobId, verdict: Verdict) -> None:
        """Counts the job's end, if it is this verdict's: not one that it had had before."""
        code, now_ms, waited_ms, _ = verdict
        if waited_ms is None:
            return
        metrics.job_ended(kind, code, waited_ms)
        bucket = _TOOK[kind][bisect_left(JOB_BUCKETS, waited_ms / 1000)]
        with self._lock:
            self._counted[_ENDED[kind, code]] += 1
            self._counted[bucket] += 1
            if code in _NO_VERDICT:
                self._failed.append(f"{now_ms} {kind} {code.slug} {job_id}")

    def holds_expired(self, seats: int) -> None:
        """Counts seats that were freed because their hold had run out."""
        metrics.EXPIRED.inc(seats)
        if seats:
            with self._lock:
                self._counted[_EXPIRED] += seats

    def batch(self) -> Batch:
        """What is to be told next: the last one again, as it was, until it is known to have arrived. Whoever adds it up
        knows it by its number."""
        with self._lock:
            if self._told and self._counted:
                self._last = Batch(self._last.number + 1, dict(self._counted), list(self._failed))
                self._told = False
                self._counted.clear()
                self._failed.clear()
            return Batch(0, {}, ()) if self._told else self._last

    def told(self) -> None:
        """Says that the last batch has arrived."""
        self._told = True


class FailedJob(NamedTuple):
    """A job that ended without a verdict."""

    job_id: str
    type: JobType
    error: str
    time_ms: int


class Totals(NamedTuple):
    """What all processes have counted since the state's server was empty.

    Attributes:
        time_ms: the server's clock.
        ended: jobs, by type and slug of the outcome: all there are.
        took: by type, how many jobs took so long: for each of JOB_BUCKETS and for more.
        expired: seats freed because their hold had run out.
        failed: the last ones, the newest first.
    """

    time_ms: int
    ended: Mapping[tuple[JobType, str], int]
    took: Mapping[JobType, Sequence[int]]
    expired: int
    failed: Sequence[FailedJob]

    @classmethod
    def of(cls, now: int, pairs: Sequence[str], failed: Sequence[str]) -> "Totals":
        """As lua/totals.lua answers."""
        found = {name: int(count) for name, count in zip(pairs[::2], pairs[1::2], strict=True)}
        return cls(
            now,
            {(kind, code.slug): found.get(field, 0) for (kind, code), field in _ENDED.items()},
            {kind: [found.get(field, 0) for field in fields] for kind, fields in _TOOK.items()},
            found.get(_EXPIRED, 0),
            list(_jobs(failed)),
        )


def _jobs(lines: Sequence[str]) -> Iterator[FailedJob]:
    for line in lines:
        time_ms, kind, error, job_id = line.split(" ")
        yield FailedJob(job_id, cast(JobType, kind), error, int(time_ms))
