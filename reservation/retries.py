"""Repeating a failed job: a new job for the same seats and user, which says which one it repeats."""

from typing import NamedTuple

from reservation import keys
from reservation.codes import Code
from reservation.errors import NotFailed
from reservation.idempotency import NO_KEY, Once
from reservation.ids import JobId
from reservation.jobs import Task
from reservation.seats import Turn
from reservation.store import Store

#: How long it is known which job repeats a failed one, beyond the time for which that one is kept, ms.
_REMEMBER_MS = 60_000


class Retry(NamedTuple):
    """What became of repeating a job.

    Attributes:
        task: what is to be done for it.
        job_id: the job that does it.
        new: whether it was made now, and nobody has sent its message yet.
    """

    task: Task
    job_id: JobId
    new: bool


def retry(store: Store, failed: JobId) -> Retry:
    """Repeats a failed job, once: whoever asks again is told of the same new job. It is accepted as any other, so what
    it is refused for is what a client would be. Raises NotFailed, NotFound, StateUnavailable and all that the accepts
    of `Seats` raise.

    That a job has failed never changes, so it need not be looked at in the step that accepts the new one; that it is
    repeated once is a record which that step writes.
    """
    job = store.jobs.read(failed)
    if job.status != "failed":
        raise NotFailed(job.status)
    task = store.jobs.task(failed)
    # It may be failed by its deadline only, and no sweeper has written that down and taken its pin back.
    store.seats.fail(task.seats, task.user, failed, Code.DEADLINE_PASSED)
    kept_ms = max(0, int(store.scripts.execute("PTTL", keys.job(failed))))
    once = Once(b"", keys.retried(failed), NO_KEY, kept_ms + _REMEMBER_MS)
    job_id = JobId.new(failed.event)
    named, turn = (task.seats, task.user, job_id, task.request_id), Turn(task.vip)
    if task.type == "HOLD_SEAT":
        accepted = store.seats.accept_hold(
            *named, once=once, retry_of=failed, adjacent=task.adjacent, gone=True, turn=turn
        )
    else:
        reference = job.data.reference or ""
        accepted = store.seats.accept_reserve(*named, once=once, retry_of=failed, reference=reference, turn=turn)
    return Retry(task, JobId.parse(accepted.job_id), accepted.job_id == str(job_id))
