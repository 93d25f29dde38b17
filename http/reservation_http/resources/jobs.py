"""Jobs: the outcome of a hold or a reservation."""

from typing import Annotated

import falcon
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reservation.ids import JobId
from reservation.jobs import Ledger
from reservation.models import Job
from reservation.rounds import pause
from reservation.waits import Waits
from reservation_http.access import Access
from reservation_http.exchange import digits, path_id, private, read_query, write
from reservation_http.lag import QueueLag
from reservation_http.openapi import operation
from reservation_http.waiting import LONGEST_WAIT_S, await_job

#: A job so young, ms, is likely to end at once: its reader is kept for so long, seconds, and need not ask again.
_YOUNG_MS = 50
_PAUSES_S = (0.001, 0.002, 0.003, 0.004)


class JobQuery(BaseModel):
    """How long to wait for the end."""

    model_config = ConfigDict(extra="ignore")

    wait: Annotated[
        Annotated[int, Field(ge=0, le=LONGEST_WAIT_S), BeforeValidator(digits)],
        Field(description="Seconds to wait where the job has not ended. Where many wait, the answer comes at once."),
    ] = 0


class JobStatus:
    """`/seats/job/{job_id}/status`."""

    def __init__(self, jobs: Ledger, lag: QueueLag, access: Access, waits: Waits) -> None:
        self._jobs = jobs
        self._lag = lag
        self._access = access
        self._waits = waits

    @operation(
        "getJob",
        "Read a job",
        tag="jobs",
        user_header=True,
        query=JobQuery,
        answers={200: Job},
        problems=("not-found", "invalid-request", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """`completed`: there is a verdict, see `result.success`. `failed`: none could be reached in
        time, nothing was changed. Results are kept for five minutes unless configured otherwise. With `wait`, answers
        as soon as the job has ended."""
        viewer = self._access.reader(req, "jobs").viewer
        parsed = path_id(JobId.parse, job_id)
        wait_s = read_query(req, JobQuery).wait if req.query_string else 0  # most ask without, and often
        job = await_job(req, self._waits, parsed, wait_s, self._lag.read(), viewer) if wait_s else None
        if job is None:
            job = self._read(parsed, viewer)
        req.context.job_id = job.id
        private(resp)
        write(resp, job)

    def _read(self, job_id: JobId, viewer: str | None) -> Job:
        job = self._jobs.read(job_id, self._lag.read(), viewer)
        for pause_s in _PAUSES_S:
            if job.ended or job.server_time - job.created_at > _YOUNG_MS or not pause(pause_s):
                break
            job = self._jobs.read(job_id, self._lag.read(), viewer)
        return job
