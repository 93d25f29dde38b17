"""Dramatiq's results, kept in the job ledger: one place that says how a job ended."""

from typing import Any

from dramatiq.message import Message
from dramatiq.results.backend import Missing, ResultBackend

from reservation.codes import Code
from reservation.errors import NotFound
from reservation.ids import JobId
from reservation.store import Store


class LedgerBackend(ResultBackend):
    """Results by job id.

    A verdict is written by the script that changes the seat, in one step with it, so storing the
    result of an actor that returned has nothing left to do. An actor that raised what no retry can
    mend has its job failed.

    Arguments:
        store: where the ledger is.
    """

    # Not _store: that is a method of ResultBackend.
    def __init__(self, store: Store) -> None:
        super().__init__(namespace="job")
        self._domain = store

    def build_message_key(self, message: Message[Any]) -> str:
        """The job's id: the actors' one argument."""
        return str(message.args[0])

    def _get(self, message_key: str) -> Any:
        try:
            job = self._domain.jobs.read(JobId.parse(message_key), viewer=None)
        except NotFound:
            return Missing
        if job.result is None:
            return Missing
        return job.result

    def unwrap_result(self, res: Any) -> Any:
        """Results are JobResult already."""
        return res

    def store_result(self, message: Message[Any], result: Any, ttl: int) -> None:
        """Does nothing: the script that reached the verdict stored it."""

    def store_exception(self, message: Message[Any], exception: Exception, ttl: int) -> None:
        """Fails the job, unless it has ended. Raises StateUnavailable; the deadline then ends it."""
        job_id = JobId.parse(self.build_message_key(message))
        try:
            task = self._domain.jobs.task(job_id)
        except NotFound:
            return
        verdict = self._domain.seats.fail(task.seats, task.user, job_id, Code.INTERNAL_ERROR)
        self._domain.counts.job_ended(task.type, job_id, verdict)
