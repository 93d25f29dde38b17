"""Jobs: the outcome of a hold or a reservation."""

import falcon

from reservation.ids import JobId
from reservation.jobs import Ledger
from reservation.models import Job
from reservation_http.exchange import caller, path_id, private, write
from reservation_http.lag import QueueLag
from reservation_http.openapi import operation


class JobStatus:
    """`/seats/job/{job_id}/status`."""

    def __init__(self, jobs: Ledger, lag: QueueLag) -> None:
        self._jobs = jobs
        self._lag = lag

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
        user = caller(req)
        job = self._jobs.read(path_id(JobId.parse, job_id), self._lag.ms())
        req.context.job_id = job.id
        private(resp)
        write(resp, job.shown_to(user))
