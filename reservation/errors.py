"""Everything this service refuses, as exceptions that carry what a program needs to know."""

from collections.abc import Iterable, Sequence
from math import ceil

from reservation.codes import Code

#: What the letters mean by which scripts name a seat's status.
STATUSES = {"A": "Available", "H": "On hold", "R": "Reserved", "B": "Blocked"}
#: Most of the seats in the way that people are told of.
_SHOWN = 10


class ReservationError(Exception):
    """Root of this package's errors.

    Attributes:
        slug: stable name of the kind of error, e.g. `seat-held`.
        status: HTTP status that says the same.
        retryable: whether the same request may succeed later without being changed.
        retry_after_s: seconds to wait before that; 0 if it is not.
    """

    slug = "error"
    status = 500
    retryable = False
    retry_after_s = 0

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def fields(self) -> dict[str, object]:
        """More members of the problem, by their public names."""
        return {}


class InvalidId(ReservationError):
    """Raised when a string is no id of the kind that was asked for."""

    slug, status = "invalid-id", 422


class NotFound(ReservationError):
    """Raised when there is no such event, seat or job (or no longer)."""

    slug, status = "not-found", 404


class Refused(ReservationError):
    """Raised when the seat is in a state that forbids what was asked, or of several seats at least one is.

    Attributes:
        current_status: the seat's status, `Available`, `On hold`, `Reserved` or `Blocked`, where it decided.
        conflicts: of several seats, those that are in the way: `{seatId, status}`.
    """

    status = 409

    def __init__(self, code: Code, detail: str, current_status: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.slug = code.slug
        self.current_status = current_status
        self.conflicts: Sequence[dict[str, str]] = ()

    @property
    def fields(self) -> dict[str, object]:
        found = {"currentStatus": self.current_status, "conflicts": self.conflicts}
        return {name: value for name, value in found.items() if value}


class SeatHeld(Refused):
    """Raised when another user holds the seat; it may come free."""

    retryable, retry_after_s = True, 5

    def __init__(self) -> None:
        super().__init__(Code.SEAT_HELD, "Another user holds this seat.", "On hold")


class SeatReserved(Refused):
    """Raised when the seat is sold."""

    def __init__(self) -> None:
        super().__init__(Code.SEAT_RESERVED, "This seat is reserved.", "Reserved")


class SeatBlocked(Refused):
    """Raised when operators have taken the seat out of the sale."""

    def __init__(self) -> None:
        super().__init__(Code.SEAT_BLOCKED, "This seat is not for sale.", "Blocked")


class NotOnHold(Refused):
    """Raised when the seat would have to be on hold, and is free."""

    def __init__(self) -> None:
        super().__init__(Code.NOT_ON_HOLD, "This seat is not on hold. Hold it first.", "Available")


class NotHolder(Refused):
    """Raised when somebody other than the holder refreshes, reserves or releases."""

    status = 403

    def __init__(self) -> None:
        super().__init__(Code.NOT_HOLDER, "Only the user who holds this seat may do that.", "On hold")


class NotReserved(Refused):
    """Raised when the seat would have to be reserved, and is not, or no longer."""

    def __init__(self, current_status: str) -> None:
        super().__init__(Code.NOT_RESERVED, "This seat is not reserved.", current_status)


class NotOwner(Refused):
    """Raised when somebody other than who reserved the seat cancels that."""

    status = 403

    def __init__(self) -> None:
        super().__init__(Code.NOT_OWNER, "Only the user who reserved this seat may do that.", "Reserved")


class HoldCeiling(Refused):
    """Raised when a hold has been refreshed for as long as is allowed.

    Attributes:
        expires_at: epoch ms at which it ends.
    """

    def __init__(self, expires_at: int) -> None:
        super().__init__(Code.HOLD_CEILING, "This hold cannot be prolonged any further.", "On hold")
        self.expires_at = expires_at

    @property
    def fields(self) -> dict[str, object]:
        return {**super().fields, "expiresAt": self.expires_at}


class DelayTooLong(Refused):
    """Raised when a job is to be carried out later than it may.

    Attributes:
        latest: when it may be at the latest, epoch ms.
    """

    def __init__(self, latest: int) -> None:
        super().__init__(Code.DELAY_TOO_LONG, "This is too late for it to be carried out.")
        self.latest = latest

    @property
    def fields(self) -> dict[str, object]:
        return {"latest": self.latest}


class ReservePending(Refused):
    """Raised when the hold is being turned into a reservation.

    Attributes:
        reserving_until: epoch ms by which that has been decided.
    """

    retryable, retry_after_s = True, 1

    def __init__(self, reserving_until: int) -> None:
        super().__init__(Code.RESERVE_PENDING, "A reservation of this seat is under way.", "On hold")
        self.reserving_until = reserving_until

    @property
    def fields(self) -> dict[str, object]:
        return {**super().fields, "reservingUntil": self.reserving_until}


class LimitReached(Refused):
    """Raised when the user would hold more seats of this event than is allowed, or has asked for more to be held later.

    Attributes:
        limit: most seats a user may hold.
        held: seats the user holds now, or has asked for.
        requested: seats that would have been added.
    """

    def __init__(self, limit: int, held: int, requested: int = 1, later: int = 0) -> None:
        have = (
            "You have asked for {} seats of this event to be held later" if later else "You hold {} seats of this event"
        )
        more = f", and want {requested} more" if requested > 1 else ""
        super().__init__(Code.LIMIT_REACHED, f"{have.format(held)}{more}; the limit is {limit}.")
        self.limit, self.held, self.requested = limit, held, requested
        self.retryable, self.retry_after_s = (True, 5) if requested <= limit else (False, 0)

    @property
    def fields(self) -> dict[str, object]:
        return {"limit": self.limit, "held": self.held, "requested": self.requested}


class NotSeated(Refused):
    """Raised when a group cannot be seated: not together, or not at all.

    Attributes:
        largest_block: most free seats next to one another.
        free: free seats.
    """

    retryable, retry_after_s = True, 5

    def __init__(self, code: Code, largest_block: int, free: int) -> None:
        super().__init__(code, not_seated(code, largest_block, free))
        self.largest_block, self.free = largest_block, free

    @property
    def fields(self) -> dict[str, object]:
        return {"largestBlock": self.largest_block, "free": self.free}


class PickAgain(ReservationError):
    """Raised when some of the best seats are gone, or others have picked them. Nobody is told."""

    def __init__(self) -> None:
        super().__init__("Others were faster.")


class SalesNotOpen(Refused):
    """Raised when a seat is to be held before the sale begins.

    Attributes:
        opens_at: when it does, epoch ms.
        left_ms: how long until then, ms.
    """

    retryable = True

    def __init__(self, opens_at: int, left_ms: int) -> None:
        super().__init__(Code.SALES_NOT_OPEN, "Sales have not begun.")
        self.opens_at, self.left_ms = opens_at, left_ms
        self.retry_after_s = ceil(left_ms / 1000)

    @property
    def fields(self) -> dict[str, object]:
        return {"opensAt": self.opens_at, "serverTime": self.opens_at - self.left_ms}


class EventClosed(Refused):
    """Raised when a seat is to be held, or a hold prolonged, after the sale has ended.

    Attributes:
        closes_at: when it did, epoch ms.
        since_ms: how long ago that is, ms.
    """

    def __init__(self, closes_at: int, since_ms: int) -> None:
        super().__init__(Code.EVENT_CLOSED, "Sales have ended.")
        self.closes_at, self.since_ms = closes_at, since_ms

    @property
    def fields(self) -> dict[str, object]:
        return {"closesAt": self.closes_at, "serverTime": self.closes_at + self.since_ms}


class OpeningFixed(Refused):
    """Raised when it cannot be changed any more when sales begin."""

    def __init__(self) -> None:
        said = "Sales have begun, or tickets have been drawn, so that they can only begin earlier."
        super().__init__(Code.OPENING_FIXED, said)


class WrongTimes(ReservationError):
    """Raised when sales would end before they begin, or before now."""

    slug, status = "invalid-request", 422

    def __init__(self, detail: str) -> None:
        super().__init__(f"closesAt: {detail}")
        self._why = detail

    @property
    def fields(self) -> dict[str, object]:
        return {"errors": [{"field": "closesAt", "message": self._why}]}


class AdmissionRequired(Refused):
    """Raised when the event has a waiting room, and the user shows no admission that is good for it now.

    Attributes:
        event_id: whose room it is.
    """

    status = 403

    def __init__(self, event_id: str) -> None:
        super().__init__(Code.ADMISSION_REQUIRED, "This event is entered through its waiting room.")
        self.event_id = event_id

    @property
    def fields(self) -> dict[str, object]:
        return {"queueEndpoint": f"/events/{self.event_id}/queue"}


class TooManyWebhooks(Refused):
    """Raised when an event has as many webhooks as it may.

    Attributes:
        limit: so many.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(Code.WEBHOOK_LIMIT, f"An event may have {limit} webhooks.")
        self.limit = limit

    @property
    def fields(self) -> dict[str, object]:
        return {"limit": self.limit}


class NotFailed(ReservationError):
    """Raised when a job is to be repeated that is under way, or has its verdict."""

    slug, status = "not-failed", 409

    def __init__(self, job_status: str) -> None:
        super().__init__(f"This job is {job_status}. Only one that has failed can be repeated.")


class KeyReused(ReservationError):
    """Raised when an idempotency key comes with another request than before."""

    slug, status = "idempotency-key-reused", 422

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was sent before with another request. Choose a new one.")


class KeyInUse(ReservationError):
    """Raised when the first request with an idempotency key has no answer yet."""

    slug, status, retryable = "idempotency-key-in-use", 409, True
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key is still being answered.")


class Unavailable(ReservationError):
    """Root of what passes by itself: the same request may be sent again later."""

    slug, status, retryable = "unavailable", 503, True
    retry_after_s = 1


class QueueFull(Unavailable):
    """Raised when as many jobs wait as is allowed, of this event or of all."""

    slug = "queue-full"
    retry_after_s = 2

    def __init__(self, limit: int) -> None:
        super().__init__("Too many requests are waiting.")
        self.limit = limit

    @property
    def fields(self) -> dict[str, object]:
        return {"limit": self.limit}


class StateUnavailable(Unavailable):
    """Raised when Redis did not answer.

    Attributes:
        job_id: the job that may have been accepted all the same, if the request was for one.
    """

    slug = "state-unavailable"

    def __init__(self, job_id: str | None = None) -> None:
        super().__init__("The service cannot reach its data at the moment.")
        self.job_id = job_id

    @property
    def fields(self) -> dict[str, object]:
        if self.job_id is None:
            return {}
        return {"jobId": self.job_id, "statusEndpoint": f"/seats/job/{self.job_id}/status"}


def conflicts(event_id: str, found: Iterable[str]) -> list[dict[str, str]]:
    """Seats that are in the way, as clients see them.

    Arguments:
        found: as scripts say it: the seat's number and the letter of its status.
    """
    return [{"seatId": f"{event_id}-{each[:-1]}", "status": STATUSES[each[-1]]} for each in found]


def none_of_them(found: Sequence[str]) -> str:
    """The same for people."""
    shown = [f"{each[:-1]} is {STATUSES[each[-1]].lower()}" for each in found[:_SHOWN]]
    return f"All of the seats or none: {', '.join(shown)}{', …' if len(found) > _SHOWN else ''}."


def not_seated(code: Code, largest_block: int, free: int) -> str:
    """Why a group cannot be seated, for people."""
    if code == Code.TOO_FEW_SEATS:
        return f"Free seats: {free}."
    return f"Free seats next to one another: at most {largest_block}, of {free}."


def refusal(
    code: Code, *rest: int | str, limit: int = 0, event_id: str = "", several: bool = False
) -> ReservationError:
    """The exception for a code that is not a success. The one mapper from scripts to errors.

    Arguments:
        rest: what the script returned after the code and the time: numbers, then seats that are in the way.
        limit: the setting that was reached, where the code is about one.
        event_id: whose seats they are, where the code leads to the event's waiting room or to others of its seats.
        several: whether several seats were asked for: what is in the way is told then.
    """
    numbers = [each for each in rest if isinstance(each, int)]
    found = [each for each in rest if isinstance(each, str)]
    error = _refusal(code, numbers, found, limit, event_id)
    if several and found and isinstance(error, Refused):
        error.conflicts = conflicts(event_id, found)
        error.detail = none_of_them(found)
    return error


def _refusal(code: Code, numbers: list[int], found: list[str], limit: int, event_id: str) -> ReservationError:
    match code:
        case Code.EVENT_UNKNOWN:
            return NotFound("There is no event with this id.")
        case Code.SEAT_UNKNOWN:
            return NotFound("There is no seat with this id.")
        case Code.JOB_UNKNOWN:
            return NotFound("There is no job with this id, or its result is no longer kept.")
        case Code.WEBHOOK_UNKNOWN:
            return NotFound("There is no webhook with this id.")
        case Code.DELIVERY_UNKNOWN:
            return NotFound("There is no message with this id, or it is no longer kept.")
        case Code.WEBHOOK_LIMIT:
            return TooManyWebhooks(limit)
        case Code.SEAT_HELD:
            return SeatHeld()
        case Code.SEAT_RESERVED:
            return SeatReserved()
        case Code.SEAT_BLOCKED:
            return SeatBlocked()
        case Code.NOT_ON_HOLD:
            return NotOnHold()
        case Code.NOT_HOLDER:
            return NotHolder()
        case Code.RESERVE_PENDING:
            return ReservePending(numbers[0])
        case Code.NOT_RESERVED:
            return NotReserved(STATUSES[found[0][-1]])
        case Code.NOT_OWNER:
            return NotOwner()
        case Code.HOLD_CEILING:
            return HoldCeiling(numbers[0])
        case Code.DELAY_TOO_LONG:
            return DelayTooLong(numbers[0])
        case Code.LIMIT_REACHED:
            return LimitReached(limit, *numbers)
        case Code.NO_SEATS_TOGETHER | Code.TOO_FEW_SEATS:
            return NotSeated(code, *numbers)
        case Code.PICK_AGAIN:
            return PickAgain()
        case Code.SALES_NOT_OPEN:
            return SalesNotOpen(*numbers)
        case Code.EVENT_CLOSED:
            return EventClosed(*numbers)
        case Code.OPENING_FIXED:
            return OpeningFixed()
        case Code.WRONG_TIMES:
            return WrongTimes("must be after opensAt")
        case Code.ADMISSION_REQUIRED:
            return AdmissionRequired(event_id)
        case Code.ROOM_UNKNOWN:
            return NotFound("This event has no waiting room.")
        case Code.TICKET_UNKNOWN:
            return NotFound("There is no ticket with this id, or its time is over.")
        case Code.QUEUE_FULL:
            return QueueFull(limit)
        case Code.KEY_REUSED:
            return KeyReused()
        case Code.TOO_LATE:
            return StateUnavailable()
    raise AssertionError(f"{code!r} is no refusal")
