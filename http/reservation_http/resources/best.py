"""Best available: so many seats, whichever are best."""

import falcon

from actors.queue import Queue
from reservation.ids import JobId
from reservation.jobs import Task
from reservation.picks import BestSeats
from reservation.requests import Group
from reservation.seats import Seats
from reservation.waits import Waits
from reservation_http.access import Access
from reservation_http.lag import QueueLag
from reservation_http.openapi import operation
from reservation_http.resources.seats import ANSWERS_WITH_JOB, Acceptance, admission


class BestAvailable(Acceptance):
    """`/seats/best-available`."""

    def __init__(
        self, best: BestSeats, seats: Seats, queue: Queue, lag: QueueLag, access: Access, waits: Waits
    ) -> None:
        super().__init__(seats, queue, lag, access, waits)
        self._best = best

    @operation(
        "holdBestSeats",
        "Hold the best seats there are",
        tag="seats",
        body=Group,
        **ANSWERS_WITH_JOB,
        admission=True,
        problems=(
            "not-found",
            "no-seats-together",
            "too-few-seats",
            "limit-reached",
            "sales-not-open",
            "event-closed",
            "delay-too-long",
            "admission-required",
            "queue-full",
            "state-unavailable",
        ),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answers with a job that holds all of them for you or none; `result.seats` says which. Next to one another in
        one row, of the best rank, stranding no single seat if there is another way, in the best row, in its middle.
        Where no row has so many, `preferred` takes the fewest pieces, near one another."""
        wish = self._access.wish(req)
        group, request_id = wish.group, req.context.request_id
        job_id = JobId.new(group.event_id)
        self._queue.backlog.check()
        accepted, seats = self._best.accept(
            group,
            wish.user,
            job_id,
            request_id,
            lag_ms=self._lag.read().of(vip=wish.turn.vip),
            once=wish.once,
            admission=admission(req),
            turn=wish.turn,
        )
        task = Task("HOLD_SEAT", seats, wish.user, request_id, group.adjacent, wish.turn.vip)
        self._answer(req, resp, job_id, accepted, task, "Your request for the best seats is in the queue.")
