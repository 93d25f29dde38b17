"""Seats: reading, one's own, holding, refreshing, releasing, reserving, cancelling."""

from contextlib import suppress
from typing import Any

import falcon

from actors.queue import Queue
from reservation.errors import NotFound, StateUnavailable
from reservation.ids import JobId, SeatId, parse_event_id
from reservation.jobs import Task, estimate_s
from reservation.models import Job, OwnSeats, QueueResponse, Refreshed, Seat
from reservation.requests import Holding, Reserving, SeatAction
from reservation.seats import Accepted, Seats
from reservation.waits import Waits
from reservation_http.access import CREATE_EVENTS, Access
from reservation_http.exchange import path_id, private, write
from reservation_http.lag import QueueLag
from reservation_http.openapi import operation
from reservation_http.waiting import await_job, preferred_wait


class SeatById:
    """`/seats/get/{seat_id}`."""

    def __init__(self, seats: Seats, access: Access) -> None:
        self._seats = seats
        self._access = access

    @operation(
        "getSeat",
        "Read a seat",
        tag="seats",
        user_header=True,
        answers={200: Seat},
        problems=("not-found", "invalid-request", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, seat_id: str) -> None:
        """As it is now. `UUID` is shown to its holder only, who sends it as `X-User-UUID`."""
        caller = self._access.reader(req)
        seat = self._seats.get(path_id(SeatId.parse, seat_id))
        private(resp)
        write(resp, seat.shown_to(caller.viewer))


class OwnSeatList:
    """`/events/{event_id}/holds`."""

    def __init__(self, seats: Seats, access: Access) -> None:
        self._seats = seats
        self._access = access

    @operation(
        "listOwnSeats",
        "Read what you hold and have reserved",
        tag="seats",
        owner=True,
        answers={200: OwnSeats},
        problems=("not-found", "invalid-request", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """All your seats of an event, as they are at one moment, with what you need to count down: a page that is
        loaded again has lost nothing."""
        user = self._access.owner(req)
        own = self._seats.of_user(path_id(parse_event_id, event_id), user)
        private(resp)
        write(resp, own)


_FINISHED = {
    "Location": "Where the job is read.",
    "Preference-Applied": "The preference that was followed, as in `wait=10`.",
}
_QUEUED = {**_FINISHED, "Retry-After": "Seconds until it is likely to have ended."}
#: What an operation says of itself that answers with a job: one that has ended, or one that has not.
ANSWERS_WITH_JOB: dict[str, Any] = {
    "prefers_wait": True,
    "answers": {200: Job, 202: QueueResponse},
    "headers": {200: _FINISHED, 202: _QUEUED},
}


class Acceptance:
    """What the POSTs share that answer with a job."""

    def __init__(self, seats: Seats, queue: Queue, lag: QueueLag, access: Access, waits: Waits) -> None:
        self._seats = seats
        self._queue = queue
        self._lag = lag
        self._access = access
        self._waits = waits

    def _answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        job_id: JobId,
        accepted: Accepted,
        task: Task,
        message: str,
    ) -> None:
        """Posts the message and answers 202; where the client would rather wait, and the job ends meanwhile, 200 with
        the job. The ledger has it: a queue that cannot be reached only delays it."""
        # Not one whose message was sent before, nor one that a sweeper sends once its time has come.
        if accepted.job_id == str(job_id) and not accepted.delay_ms:
            self._queue.post_job(job_id, task)
        req.context.job_id = accepted.job_id
        status_endpoint = resp.location = f"/seats/job/{accepted.job_id}/status"
        job = self._awaited(req, resp, accepted, task.user)
        if job is not None and job.ended:
            private(resp)
            write(resp, job)
            return
        wait_s = estimate_s(accepted.rank, accepted.pace_us, accepted.lag_ms, accepted.delay_ms)
        queued = QueueResponse(
            message=message,
            job_id=accepted.job_id,
            position=accepted.rank,
            estimated_wait_time=wait_s,
            status_endpoint=status_endpoint,
        )
        write(resp, queued, 202)
        resp.retry_after = max(1, wait_s)

    def _awaited(self, req: falcon.Request, resp: falcon.Response, accepted: Accepted, user: str) -> Job | None:
        """The job after as long as the client would wait; None if it cannot end by then, or the ledger cannot say."""
        wait_s = preferred_wait(req)
        if accepted.delay_ms >= wait_s * 1000:
            return None
        with suppress(NotFound, StateUnavailable):  # accepted it is in any case; the client reads it later
            job_id = JobId.parse(accepted.job_id)
            job = await_job(req, self._waits, job_id, wait_s, self._lag.read(), user)
            if job is not None:
                resp.set_header("Preference-Applied", f"wait={wait_s}")
            return job
        return None


def admission(req: falcon.Request) -> str:
    """What the caller shows of having been admitted from a waiting room; empty if nothing."""
    return req.get_header("Admission") or ""


class SeatHold(Acceptance):
    """`/seats/hold`."""

    @operation(
        "holdSeat",
        "Hold seats for a limited time",
        tag="seats",
        body=Holding,
        **ANSWERS_WITH_JOB,
        admission=True,
        problems=(
            "not-found",
            "seat-held",
            "seat-reserved",
            "seat-blocked",
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
        """Answers with a job; its verdict says whether you hold the seat. A refusal that is certain
        already comes at once. Holding a seat that you hold succeeds and leaves its expiry. Of several `ids` you get
        all or none; `conflicts` are those that others have. Where the event has a waiting room, show that you were
        admitted. With a `notBefore` ahead it is accepted whoever has the seats now, and decided then."""
        action = self._access.action(req, Holding)
        job_id = JobId.new(action.seats[0].event)
        # Not for a reservation: who has a seat on hold is not turned away.
        self._queue.backlog.check()
        task = Task("HOLD_SEAT", action.seats, action.user, req.context.request_id, vip=action.turn.vip)
        accepted = self._seats.accept_hold(
            task.seats,
            task.user,
            job_id,
            task.request_id,
            lag_ms=self._lag.read().of(vip=action.turn.vip),
            once=action.once,
            admission=admission(req),
            turn=action.turn,
        )
        self._answer(req, resp, job_id, accepted, task, "Your request to hold this seat is in the queue.")


class SeatReserve(Acceptance):
    """`/seats/reserve`."""

    @operation(
        "reserveSeat",
        "Reserve seats that you hold",
        tag="seats",
        body=Reserving,
        **ANSWERS_WITH_JOB,
        problems=(
            "not-found",
            "not-holder",
            "not-on-hold",
            "seat-reserved",
            "seat-blocked",
            "reserve-pending",
            "delay-too-long",
            "queue-full",
            "state-unavailable",
        ),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answers with a job. From here on your hold lasts until that job's verdict, so waiting in the
        queue cannot lose the seat; asking again meanwhile answers with the same job. Of several `ids` all are reserved
        or none; `reserve-pending` if some of them are in another job. The reservation's `reservationId` is the job's
        id."""
        action = self._access.action(req, Reserving)
        job_id = JobId.new(action.seats[0].event)
        task = Task("RESERVE_SEAT", action.seats, action.user, req.context.request_id, vip=action.turn.vip)
        accepted = self._seats.accept_reserve(
            task.seats,
            task.user,
            job_id,
            task.request_id,
            lag_ms=self._lag.read().of(vip=action.turn.vip),
            once=action.once,
            reference=action.reference,
            turn=action.turn,
        )
        self._answer(req, resp, job_id, accepted, task, "Your request to reserve this seat is in the queue.")


class SeatRefresh:
    """`/seats/refresh`."""

    def __init__(self, seats: Seats, access: Access) -> None:
        self._seats = seats
        self._access = access

    @operation(
        "refreshHold",
        "Let your holds run their full length again",
        tag="seats",
        body=SeatAction,
        answers={200: Refreshed},
        problems=(
            "not-found",
            "not-holder",
            "not-on-hold",
            "seat-reserved",
            "seat-blocked",
            "reserve-pending",
            "hold-ceiling",
            "event-closed",
            "state-unavailable",
        ),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answers with the new `expiresAt`. A hold can be prolonged until it has lasted `MAX_HOLD_TIME`, the last time
        by less; then it is `hold-ceiling`."""
        action = self._access.action(req)
        seats = self._seats.refresh(action.seats, action.user, req.context.request_id, action.once)
        private(resp)
        write(resp, Refreshed(**dict(seats[0]), seats=seats if len(seats) > 1 else None))


class SeatRelease:
    """`/seats/release`."""

    def __init__(self, seats: Seats, access: Access) -> None:
        self._seats = seats
        self._access = access

    @operation(
        "releaseHold",
        "Give holds back",
        tag="seats",
        body=SeatAction,
        answers={204: None},
        problems=("not-found", "not-holder", "seat-reserved", "reserve-pending", "state-unavailable"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The seat is free when this answers. Safe to repeat: releasing a free seat succeeds."""
        action = self._access.action(req)
        self._seats.release(action.seats, action.user, req.context.request_id, action.once)
        resp.status = 204


class SeatCancel:
    """`/seats/cancel`."""

    def __init__(self, seats: Seats, access: Access) -> None:
        self._seats = seats
        self._access = access

    @operation(
        "cancelReservation",
        "Give reservations back",
        tag="seats",
        body=SeatAction,
        answers={204: None},
        problems=("not-found", "not-owner", "not-reserved", "state-unavailable"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The seat is free when this answers, for anybody to hold. It is done once: again it is `not-reserved`, or
        `not-owner` if somebody else has reserved the seat by then. A token with the scope `events:write` cancels
        for others: the reservation of `UUID`, or, without it, whoever's it is."""
        action = self._access.action(req, for_others=CREATE_EVENTS)
        self._seats.cancel(action.seats, action.user or None, action.by, req.context.request_id, action.once)
        resp.status = 204
