"""Jobs: the outcome of a hold or a reservation."""

import falcon

from reservation.ids import JobId
from reservation.jobs import Ledger
from reservation.models import Job
from reservation.rounds import pause
from reservation_http.access import Access
from reservation_http.exchange import path_id, private, write
from reservation_http.lag import QueueLag
from reservation_http.openapi import operation

#: A job so young, ms, is likely to end at once: its reader is kept for so long, seconds, and need not ask again.
_YOUNG_MS = 50
_PAUSES_S = (0.001, 0.002, 0.003, 0.004)


class JobStatus:
    """`/seats/job/{job_id}/status`."""

    def __init__(self, jobs: Ledger, lag: QueueLag, access: Access) -> None:
        self._jobs = jobs
        self._lag = lag
        self._access = access

    @operation(
        "getJob",
        "Read a job",
        tag="jobs",
        user_header=True,
        answers={200: Job},
        problems=("not-found", "invalid-request", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """`completed`: there is a verdict, see `result.success`. `failed`: none could be reached in
        time, nothing was changed. Results are kept for five minutes unless configured otherwise."""
        viewer = self._access.reader(req, "jobs").viewer
        parsed = path_id(JobId.parse, job_id)
        job = self._jobs.read(parsed, self._lag.ms(), viewer)
        for pause_s in _PAUSES_S:
            if job.ended or job.server_time - job.created_at > _YOUNG_MS or not pause(pause_s):
                break
            job = self._jobs.read(parsed, self._lag.ms(), viewer)
        req.context.job_id = job.id
        private(resp)
        write(resp, job)
