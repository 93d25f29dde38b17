"""The actors: `hold_seat`, `reserve_seat` and `release_expired`."""

from collections.abc import Callable
from typing import NamedTuple

import dramatiq
import structlog
from dramatiq import Actor, Broker

from reservation.codes import Code
from reservation.fields import JobType
from reservation.ids import JobId, parse_seats
from reservation.seats import Named, Verdict
from reservation.store import Store

log = structlog.get_logger()

#: The queue of all three, or what the names of several begin with. Within a worker process, jobs go before expiries:
#: whether a hold is over does not depend on anybody having freed the seat.
QUEUE = "seat_operations"
_JOB_PRIORITY, _EXPIRY_PRIORITY = 0, 10


class Actors(NamedTuple):
    """The three actors, declared on one broker."""

    hold_seat: Actor[..., str | None]
    reserve_seat: Actor[..., str | None]
    release_expired: Actor[[str], None]


def declare(broker: Broker, store: Store, queue_name: str = QUEUE) -> Actors:
    """Declares the actors on a broker.

    An actor runs its job's script and nothing more: the script decides, writes the verdict, and does
    nothing when run again, nor when its message says otherwise than the ledger.
    StateUnavailable is retried by the `Retries` middleware until the job's deadline; there is no
    time limit, because it could strike between a command and its reply.
    """

    def run(
        kind: JobType,
        script: Callable[[Named, str, JobId, str], Verdict],
        job_id: str,
        seat_id: str,
        user: str,
        request_id: str,
    ) -> str | None:
        job = JobId.parse(job_id)
        verdict = script(parse_seats(seat_id), user, job, request_id)
        if verdict.code == Code.JOB_UNKNOWN:
            # Ended, and no longer kept; or accepted by nobody, or not for this.
            log.info("job unknown")
            return None
        if verdict.code == Code.NOT_DUE:
            # The clock was put back, by another server that took over: it is sent again.
            log.info("job before its time")
            return None
        store.counts.job_ended(kind, job, verdict)
        log.info("job ended", code=verdict.code.slug, seat=seat_id, waited_ms=verdict.waited_ms)
        return verdict.code.slug

    @dramatiq.actor(broker=broker, queue_name=queue_name, priority=_JOB_PRIORITY, store_results=True)
    def hold_seat(job_id: str, *, seat_id: str, user: str, request_id: str = "") -> str | None:
        """Carries out a hold job. Returns how it ended, e.g. `held`; None if it is unknown, or its time has not come.

        Arguments:
            seat_id: of the seat; of several, all, with blanks between them.
        """
        return run("HOLD_SEAT", store.best.hold, job_id, seat_id, user, request_id)

    @dramatiq.actor(broker=broker, queue_name=queue_name, priority=_JOB_PRIORITY, store_results=True)
    def reserve_seat(job_id: str, *, seat_id: str, user: str, request_id: str = "") -> str | None:
        """Carries out a reserve job. Returns how it ended, e.g. `reserved`; otherwise, and `seat_id`, as in
        `hold_seat`."""
        return run("RESERVE_SEAT", store.seats.reserve, job_id, seat_id, user, request_id)

    @dramatiq.actor(broker=broker, queue_name=queue_name, priority=_EXPIRY_PRIORITY)
    def release_expired(event_id: str) -> None:
        """Frees the event's seats whose hold is over."""
        freed = store.seats.release_claimed(event_id)
        store.counts.holds_expired(freed)
        log.info("holds expired", seats=freed)

    return Actors(hold_seat, reserve_seat, release_expired)
