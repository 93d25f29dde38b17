"""What the service answers with. Times are epoch milliseconds; what is absent is None.

Members that are not known here are passed over, and words of which there may be more one day (statuses, causes) are
plain strings, so that a newer service does not break an older client.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import partial
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from reservation_client.errors import NotEnded, UnexpectedAnswer, problem

Model = TypeVar("Model")
#: Of each field its name, the member's, and what makes one of the other; `*` stands for all members.
_Plan = tuple[tuple[str, str, Callable[[Any], Any] | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRoom:
    """How people are let in who want to buy; `admission_ttl` in seconds."""

    admit_per_minute: int
    admission_ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event and how many seats it has."""

    id: str
    name: str
    total_seats: int
    created_at: int
    opens_at: int | None = None
    closes_at: int | None = None
    waiting_room: WaitingRoom | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary(Event):
    """An event and how its seats stand."""

    free: int
    held: int
    reserved: int
    blocked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventList:
    """A page of events, the newest first."""

    events: tuple[EventSummary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutRow:
    """A row: its seats have consecutive numbers, from `first` on."""

    name: str
    first: int
    seats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSection:
    """A section of a hall. 1 is the best rank; the best row comes first."""

    name: str
    rank: int
    rows: tuple[LayoutRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the seats of an event are. It never changes. `given`: whether the event was created with it."""

    event: str
    total_seats: int
    given: bool
    sections: tuple[LayoutSection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A seat as it is at `server_time`. `user`, `reservation_id` and `reference` are shown to the user only."""

    id: str
    event_id: str
    user: str = field(default="", metadata={"name": "UUID"})
    status: str
    expires_at: int | None = None
    reserving_until: int | None = None
    server_time: int | None = None
    reservation_id: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed(Seat):
    """The first of the seats, and, if there are several, all."""

    seats: tuple[Seat, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSeats:
    """Free seats of an event, by number. `total` counts those on other pages too."""

    event: str
    total: int
    seats: tuple[Seat, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSeats:
    """What the user has of an event. `hold_duration` in ms."""

    event: str
    server_time: int
    limit: int
    hold_duration: int
    holds: tuple[Seat, ...]
    reservations: tuple[Seat, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatMap:
    """Every seat of an event, in one letter each: `A` available, `H` on hold, `R` reserved, `B` blocked; the first
    is seat 1's. `sequence` is the number of the last change that is in it."""

    event: str
    sequence: int
    server_time: int
    free: int
    held: int
    reserved: int
    blocked: int = 0
    seats: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a seat. `cause` is `held`, `refreshed`, `reserved`, `released`, `expired`, `cancelled`, `blocked`,
    `unblocked`, or new."""

    sequence: int
    seat: str
    before: str | None = field(default=None, metadata={"name": "from"})
    to: str | None = None
    cause: str
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry(Change):
    """A change of a seat with who made it (a hash; None: the service), by which job and request, and why."""

    actor: str | None = None
    job: str | None = None
    request: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTrail:
    """A page of what has happened, the oldest first. `actor`: what the user that was asked for is called."""

    event: str
    actor: str | None = None
    entries: tuple[AuditEntry, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A place in an event's waiting room: `early` until sales open, then `waiting`, then `admitted`. Keep it secret.
    `estimated_wait_time` in seconds."""

    ticket: str
    event: str
    status: str
    place: int | None = None
    admitted_at: int | None = None
    estimated_wait_time: int
    admission: str | None = None
    admission_expires_at: int | None = None
    server_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A seat that is in the way of all those that were asked for."""

    seat_id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobData:
    """What the job was asked to do."""

    seat_id: str
    seat_ids: tuple[str, ...]
    user: str = field(default="", metadata={"name": "userUUID"})
    reference: str | None = None
    quantity: int | None = None
    adjacent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """A job's verdict."""

    success: bool
    message: str
    seats: tuple[Seat, ...] | None = None
    error: str | None = None
    limit: int | None = None
    held: int | None = None
    requested: int | None = None
    largest_block: int | None = None
    free: int | None = None
    conflicts: tuple[Conflict, ...] | None = None
    members: Mapping[str, Any] = field(default_factory=dict, metadata={"all": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A hold or a reservation on its way. What is known only of jobs that were read is None in one that was just
    accepted. `estimated_wait_time` in seconds."""

    id: str
    type: str
    data: JobData | None = None
    status: str
    retry_of: str | None = None
    #: `result`, of the service: the verdict as it is.
    verdict: JobResult | None = field(default=None, metadata={"name": "result"})
    priority: str = "standard"
    not_before: int | None = None
    created_at: int | None = None
    completed_at: int | None = None
    deadline: int | None = None
    position: int | None = None
    estimated_wait_time: int | None = None
    server_time: int | None = None

    @property
    def ended(self) -> bool:
        """Whether there is a result."""
        return self.status in ("completed", "failed")

    def result(self) -> tuple[Seat, ...]:
        """The seats as the job left them. Raises Problem if it refused or failed, NotEnded if it does not know yet."""
        if not self.ended or self.verdict is None:
            raise NotEnded(self)
        if self.verdict.success:
            return self.verdict.seats or ()
        raise problem(self.verdict.error or "internal-error", self.verdict.message, self.verdict.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueResponse:
    """An accepted job."""

    job_id: str
    position: int
    estimated_wait_time: int


def read(model: type[Model], members: Any) -> Model:
    """A model of what was answered. Raises UnexpectedAnswer."""
    if not isinstance(members, dict):
        raise UnexpectedAnswer(f"{model.__name__} was expected, not {type(members).__name__}")
    values = {}
    for name, public, convert in _plan(model):
        value = members if public == "*" else members.get(public)
        if value is not None:
            values[name] = convert(value) if convert else value
    try:
        return model(**values)
    except TypeError:
        missing = [public for public in required(model) if public not in members]
        raise UnexpectedAnswer(f"{model.__name__} without {', '.join(missing)}") from None


def required(model: type[Any]) -> list[str]:
    """The members, by their public names, without which there is no such model."""
    needed = {f.name for f in fields(model) if f.default is MISSING and f.default_factory is MISSING}
    return [public for name, public, _ in _plan(model) if name in needed]


def public_names(model: type[Any]) -> list[str]:
    """Those of all members that it reads."""
    return [public for _, public, _ in _plan(model) if public != "*"]


_plans: dict[type[Any], _Plan] = {}


def _plan(model: type[Any]) -> _Plan:
    if model not in _plans:
        hints = get_type_hints(model)
        _plans[model] = tuple(
            (f.name, "*", None)
            if "all" in f.metadata
            else (f.name, f.metadata.get("name") or _camel(f.name), _converter(hints[f.name]))
            for f in fields(model)
        )
    return _plans[model]


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """What makes a value of this type; None if it is one already."""
    if is_dataclass(hint):
        return partial(read, hint)  # type: ignore[arg-type]  # a hint is a class
    inner = [each for each in get_args(hint) if each not in (NoneType, ...)]
    if get_origin(hint) is tuple:
        each = _converter(inner[0])
        return (lambda values: tuple(map(each, values))) if each else tuple
    return _converter(inner[0]) if inner and len(inner) == 1 else None


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
