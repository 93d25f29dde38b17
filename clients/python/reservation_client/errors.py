"""What can go wrong, as seen by a client."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reservation_client.models import Job


class ReservationClientError(Exception):
    """The root of all that is raised here."""


class NoAnswer(ReservationClientError):
    """Raised when no answer came for longer than one was waited for. Whether anything was done is not known.

    Attributes:
        unsent: whether the request never went out, so that nothing was.
        transient: whether another attempt may go better.
    """

    def __init__(self, why: str, *, unsent: bool = False, transient: bool = True) -> None:
        super().__init__(why)
        self.unsent = unsent
        self.transient = transient


class UnexpectedAnswer(ReservationClientError):
    """Raised when what answers is not the service, or speaks another language than this client."""


class NotEnded(ReservationClientError):
    """Raised when a job's result is asked for before there is one.

    Attributes:
        job: as it was seen last.
    """

    def __init__(self, job: "Job") -> None:
        super().__init__(f"The job {job.id} has not ended yet: it is {job.status}.")
        self.job = job


class Problem(ReservationClientError):
    """Raised when the service refuses: at once, by an answer that is a problem (RFC 9457), or by a job's verdict.

    Attributes:
        type: the name of the kind of problem, as in the guide's table: `seat-held`. Go by this.
        status: of the answer; None if it is a job that says so.
        detail: for people.
        retryable: whether the same may succeed later.
        retry_after_s: in how many seconds, where that is known.
        request_id: names the request in the service's logs; empty if nothing does.
        members: all that the problem says: `conflicts`, `limit`, `opensAt`, …
    """

    def __init__(
        self,
        type_: str,
        detail: str,
        members: Mapping[str, Any],
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(f"{type_}: {detail}" if detail else type_)
        self.type = type_
        self.status = status
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.members = members


class SeatUnavailable(Problem):
    """Raised when somebody else has the seat, or there are not so many: choose others."""


class LimitReached(Problem):
    """Raised when the user would hold more seats than anybody may."""


class HoldLost(Problem):
    """Raised when the seat is not, or no longer, on hold for the user."""


class AdmissionRequired(Problem):
    """Raised when the event has a waiting room, and the user is not admitted, or not any more."""


class NotFound(Problem):
    """Raised when there is nothing of that name."""


class Busy(Problem):
    """Raised when the service cannot serve now, or not so often, and could not for as long as it was waited for."""


_KINDS: dict[str, type[Problem]] = {
    "seat-held": SeatUnavailable,
    "seat-reserved": SeatUnavailable,
    "seat-blocked": SeatUnavailable,
    "no-seats-together": SeatUnavailable,
    "too-few-seats": SeatUnavailable,
    "limit-reached": LimitReached,
    "not-on-hold": HoldLost,
    "not-holder": HoldLost,
    "hold-expired": HoldLost,
    "admission-required": AdmissionRequired,
    "not-found": NotFound,
}


def problem(name: str, detail: str, members: Mapping[str, Any], *, status: int | None = None, **rest: Any) -> Problem:
    """The problem of this name, as an instance of its class."""
    kind = _KINDS.get(name) or (Busy if status in (429, 502, 503, 504) else Problem)
    return kind(name, detail, members, status=status, **rest)
