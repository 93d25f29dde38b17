"""The things clients see, as pydantic models: what requests are validated with, what answers are
made of, and what the OpenAPI documents are generated from. Times are epoch milliseconds.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from reservation.errors import InvalidId
from reservation.ids import (
    JOB_ID_PATTERN,
    MAX_GROUP,
    MAX_SEATS,
    SEAT_ID_PATTERN,
    TICKET_PATTERN,
    UUID_PATTERN,
    SeatId,
    parse_uuid,
)

Millis = Annotated[int, Field(description="Epoch milliseconds.", examples=[1767225600000])]
SeatStatus = Literal["Available", "On hold", "Reserved"]
JobType = Literal["HOLD_SEAT", "RESERVE_SEAT"]
JobStatus = Literal["waiting", "active", "completed", "failed"]
TicketStatus = Literal["early", "waiting", "admitted"]

#: A viewer to whom every user is shown: the service itself, and who may see all.
INSIDER = "*"

_EVENT = "k3v9x2m7qa"
_SEAT = f"{_EVENT}-12"
_USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
_JOB = f"{_EVENT}-4m0s8y2k1c7r5t9w3x6z0b8d2"
_TICKET = "9s3k1x7m5q0w2e8r4t6y1u3i5"

#: When sales may begin, epoch ms: 2001 to 2100, so that seconds or microseconds are refused.
_FIRST_OPENING, _LAST_OPENING = 1_000_000_000_000, 4_102_444_800_000


def _says_why(parse: Callable[[str], str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            return parse(text)
        except InvalidId as error:
            raise ValueError(error.detail) from None

    return check


#: What moves a cursor or ends a line, and what turns the text around it (UAX #9): a name could be shown as another.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
#: What shows nothing: spaces, and what is put between characters or changes one.
_BLANKS = (
    r" \u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u202f\u205f-\u2065"
    r"\u206a-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
_NAME_PATTERN = f"^[^{_CONTROLS}]*[^{_CONTROLS}{_BLANKS}][^{_CONTROLS}]*$"
_control, _visible = re.compile(f"[{_CONTROLS}]").search, re.compile(f"[^{_BLANKS}]").search


def _name(text: str) -> str:
    if _control(text):
        raise ValueError("must not contain control characters")
    if not _visible(text):
        raise ValueError("must not be blank")
    return text.strip()


#: ASCII that can be seen, with single spaces in between: what stands in headers, CSV and logs as it is.
_REFERENCE_PATTERN = r"^[!-~]+( [!-~]+)*$"

# Checked by the same functions as in paths and headers, whose messages are for people; the patterns
# are for the document.
SeatIdField = Annotated[
    str,
    AfterValidator(_says_why(lambda text: str(SeatId.parse(text)))),
    Field(description="`<eventId>-<number>`.", examples=[_SEAT], json_schema_extra={"pattern": SEAT_ID_PATTERN}),
]
UserField = Annotated[
    str,
    AfterValidator(_says_why(parse_uuid)),
    Field(
        json_schema_extra={"format": "uuid", "pattern": UUID_PATTERN},
        alias="UUID",
        description="The user: any RFC 9562 UUID with hyphens. Without tokens, whoever knows it can act for that user: "
        "keep it secret. With a token it may be left out, and must be the token's if it is there.",
        examples=[_USER],
    ),
]
ShownUser = Annotated[
    str,
    Field(
        description="The user, shown only to a caller who presents the same UUID; otherwise empty.", examples=[_USER]
    ),
]


class ApiModel(BaseModel):
    """An answer. Public names are in camelCase, as they always were."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class _Request(ApiModel):
    # Strict: "10", 10.5 and true are no integers. A misspelt member is an error, not ignored.
    # By alias only: `user` is no public name for `UUID`.
    model_config = ConfigDict(strict=True, extra="forbid", validate_by_name=False, validate_by_alias=True)


AdmitPerMinute = Annotated[
    int, Field(ge=1, le=60_000, description="How many are admitted a minute, at even intervals.", examples=[600])
]
AdmissionTtl = Annotated[
    int,
    Field(
        ge=10, le=86_400, description="How long who is admitted may hold seats, seconds, from asking.", examples=[600]
    ),
]
OpensAt = Annotated[
    int,
    Field(
        ge=_FIRST_OPENING,
        le=_LAST_OPENING,
        description="When sales begin, epoch milliseconds: no seat can be held before. Absent: at once.",
        examples=[1767225600000],
    ),
]


def _given(value: object) -> object:
    if value is None:
        raise ValueError("must not be null; leave it out")
    return value


#: Of a member that may be left out: null is another thing, and says nothing.
_NotNull = BeforeValidator(_given)


class NewWaitingRoom(_Request):
    """How people are let in who want to buy."""

    admit_per_minute: AdmitPerMinute
    admission_ttl: Annotated[AdmissionTtl | None, _NotNull] = None


class NewEvent(_Request):
    """What to sell."""

    name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=200),
        AfterValidator(_name),
        Field(
            description="Shown to people. Not blank, no control characters. Spaces around it are dropped.",
            examples=["Opening night"],
            json_schema_extra={"pattern": _NAME_PATTERN},
        ),
    ]
    total_seats: Annotated[int, Field(ge=10, le=MAX_SEATS, description="Seats to sell.", examples=[500])]
    opens_at: Annotated[OpensAt | None, _NotNull] = None
    waiting_room: Annotated[
        NewWaitingRoom | None, _NotNull, Field(description="Seats can be held only by who was admitted from it.")
    ] = None


class SeatAction(_Request):
    """A seat, or several of one event, and the user who acts on them, unless a token says who that is."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["id"]}, {"required": ["ids"]}]})

    id: Annotated[SeatIdField, Field(description="The seat, unless there are `ids`.")] = ""
    ids: Annotated[
        list[SeatIdField],
        Field(
            min_length=2,
            max_length=MAX_GROUP,
            description="Several seats of one event, instead of `id`: it is done to all of them, or to none.",
            examples=[[_SEAT, f"{_EVENT}-13"]],
            json_schema_extra={"uniqueItems": True},
        ),
    ] = []
    user: UserField = ""

    @model_validator(mode="after")
    def _one_or_several(self) -> "SeatAction":
        if bool(self.id) == bool(self.ids):
            raise ValueError("id: there has to be either id or ids")
        if len(set(self.ids)) < len(self.ids):
            raise ValueError("ids: a seat is named twice")
        if len({each.partition("-")[0] for each in self.ids}) > 1:
            raise ValueError("ids: the seats are of several events")
        return self

    @property
    def seats(self) -> tuple[SeatId, ...]:
        """Those that are meant."""
        return tuple(map(SeatId.parse, self.ids or [self.id]))


class Reserving(SeatAction):
    """The same, and what the client calls the reservation."""

    reference: Annotated[
        str,
        StringConstraints(max_length=100, pattern=_REFERENCE_PATTERN),
        Field(
            description="Of your choice, an order number for example: visible ASCII characters and spaces. It is kept "
            "with the reservation, and told to its user.",
            examples=["order-2026-1147"],
        ),
    ] = ""


class QueueEntry(_Request):
    """The user who wants a ticket, unless a token says who that is."""

    user: UserField = ""


class WaitingRoom(ApiModel):
    """How people are let in who want to buy."""

    admit_per_minute: AdmitPerMinute
    admission_ttl: AdmissionTtl


class Event(ApiModel):
    """An event and how many seats it has."""

    id: Annotated[str, Field(examples=[_EVENT])]
    name: Annotated[str, Field(examples=["Opening night"])]
    total_seats: Annotated[int, Field(examples=[500])]
    created_at: Millis
    opens_at: OpensAt | None = None
    waiting_room: Annotated[
        WaitingRoom | None, Field(description="Seats can be held only by who was admitted from it.")
    ] = None


class Ticket(ApiModel):
    """A place in an event's waiting room at `serverTime`: `early` until sales open, then `waiting`, then `admitted`."""

    ticket: Annotated[
        str,
        Field(pattern=TICKET_PATTERN, description="Whoever knows it is let in: keep it secret.", examples=[_TICKET]),
    ]
    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    status: TicketStatus
    place: Annotated[
        int | None, Field(description="How many are admitted before, 0 = next. Only while `waiting`.", examples=[41])
    ] = None
    admitted_at: Annotated[
        Millis | None, Field(description="When it is, or was, admitted. It does not change. Not while `early`.")
    ] = None
    estimated_wait_time: Annotated[
        int,
        Field(
            description="Whole seconds until then, rounded up; while `early`, the mean over all places.", examples=[5]
        ),
    ]
    admission: Annotated[
        str | None,
        Field(description="What a hold takes in its header `Admission`. Only once `admitted`; the same each time."),
    ] = None
    admission_expires_at: Annotated[
        Millis | None, Field(description="When it ends: `admissionTtl` after it was first handed out.")
    ] = None
    server_time: Millis
    status_endpoint: Annotated[str, Field(examples=[f"/events/{_EVENT}/queue/{_TICKET}"])]


Free = Annotated[int, Field(description="Seats that are free.", examples=[497])]
Held = Annotated[int, Field(description="Seats on hold.", examples=[2])]
Reserved = Annotated[int, Field(description="Seats that are reserved.", examples=[1])]


class EventSummary(Event):
    """An event and how its seats stand."""

    free: Free
    held: Held
    reserved: Reserved


class EventList(ApiModel):
    """Events, the newest first."""

    events: list[EventSummary]
    next_cursor: Annotated[
        str | None, Field(description="Pass as `cursor` for the next page. Absent on the last.", examples=[_EVENT])
    ] = None


class Seat(ApiModel):
    """A seat as it is at `serverTime`."""

    id: Annotated[str, Field(examples=[_SEAT])]
    event_id: Annotated[str, Field(examples=[_EVENT])]
    user: Annotated[ShownUser, Field(alias="UUID")] = ""
    status: SeatStatus
    expires_at: Annotated[Millis | None, Field(description="When the hold ends. Only while on hold.")] = None
    reserving_until: Annotated[
        Millis | None,
        Field(description="A reservation is under way; it is decided by then, and the hold lasts at least as long."),
    ] = None
    server_time: Annotated[Millis | None, Field(description="The service's clock, to count down against.")] = None
    reservation_id: Annotated[
        str | None,
        Field(
            description="Of a reservation, shown like `UUID`: the same for all seats that were reserved in one job, "
            "whose id it is.",
            examples=[_JOB],
        ),
    ] = None
    reference: Annotated[str | None, Field(description="What the client calls the reservation, shown like `UUID`.")] = (
        None
    )

    def shown_to(self, user: str | None) -> "Seat":
        """The seat without what is its holder's, unless the viewer is the holder, or INSIDER."""
        if user in (self.user, INSIDER):
            return self
        return self.model_copy(update={"user": "", "reservation_id": None, "reference": None})


class Refreshed(Seat):
    """The seat, or the first of several, on hold for longer."""

    seats: Annotated[list[Seat] | None, Field(description="All of them. Only if there were `ids`.")] = None


class OwnSeats(ApiModel):
    """What a user has of an event at `serverTime`."""

    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    server_time: Millis
    limit: Annotated[int, Field(description="Most seats that a user may hold.", examples=[6])]
    hold_duration: Annotated[int, Field(description="How long a hold lasts, ms.", examples=[60000])]
    holds: Annotated[list[Seat], Field(description="Those that end first come first.")]
    reservations: Annotated[list[Seat], Field(description="In the order in which they were made.")]


class FreeSeats(ApiModel):
    """The free seats of an event, by number."""

    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    total: Annotated[int, Field(description="All free seats, on this page or not.", examples=[498])]
    seats: list[Seat]
    next_cursor: Annotated[
        str | None, Field(description="Pass as `cursor` for the next page. Absent on the last.", examples=["100"])
    ] = None


class Change(ApiModel):
    """A change of a seat. It does not say who made it."""

    sequence: Annotated[
        int, Field(description="Number of the change: one more than that of the event's change before.", examples=[18])
    ]
    seat: Annotated[str, Field(description="The seat's id.", examples=[_SEAT])]
    before: Annotated[SeatStatus, Field(alias="from", description="What the seat was.", examples=["Available"])]
    to: Annotated[SeatStatus, Field(description="What it has been since.", examples=["On hold"])]
    cause: Annotated[
        Literal["held", "refreshed", "reserved", "released", "expired", "cancelled"], Field(examples=["held"])
    ]
    time: Millis


class AuditEntry(ApiModel):
    """A change of a seat, with who made it, by which job and request."""

    sequence: Annotated[int, Field(description="Number of the change, as the feed has it.", examples=[18])]
    time: Millis
    seat: Annotated[str, Field(description="The seat's id.", examples=[_SEAT])]
    before: Annotated[
        SeatStatus | None,
        Field(
            alias="from",
            description="What the seat was. Absent if the cause is not known here.",
            examples=["Available"],
        ),
    ] = None
    to: Annotated[SeatStatus | None, Field(description="What it has been since.", examples=["On hold"])] = None
    cause: Annotated[
        str,
        Field(
            description="`held`, `refreshed`, `reserved`, `released`, `expired`, `cancelled`, or another.",
            examples=["held"],
        ),
    ]
    actor: Annotated[
        str | None,
        Field(
            description="Who did it: a keyed hash of the user, the same throughout an event. Absent: the service.",
            examples=["5f0c9d1be2a4476c8b1d03fa"],
        ),
    ] = None
    job: Annotated[str | None, Field(description="The job that it was done by.", examples=[_JOB])] = None
    request: Annotated[
        str | None, Field(description="`X-Request-ID` of the request for it.", examples=["7d1f0a4c9be2e356"])
    ] = None


class AuditTrail(ApiModel):
    """What has happened to the seats of an event, oldest first."""

    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    actor: Annotated[
        str | None, Field(description="What the `user` that was asked for is called here. Only with `user`.")
    ] = None
    entries: list[AuditEntry]
    next_cursor: Annotated[
        str | None,
        Field(description="Pass as `cursor` for what follows, if anything does.", examples=["1767225600000-0"]),
    ] = None


class Changes(ApiModel):
    """What has happened to the seats of an event since a change that the caller knows."""

    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    sequence: Annotated[
        int,
        Field(
            description="Number of the last change that this tells of. Ask for what comes `since` it.", examples=[18]
        ),
    ]
    reset: Annotated[
        bool,
        Field(
            description="The changes cannot all be told any more: read all seats anew, and ask for what comes since "
            "the `sequence` there (`/events/{event_id}/seats`)."
        ),
    ] = False
    changes: list[Change]


class SeatMap(ApiModel):
    """Every seat of an event as it is at `serverTime`."""

    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    sequence: Annotated[int, Field(description="Number of the last change that is in it.", examples=[17])]
    server_time: Millis
    free: Free
    held: Held
    reserved: Reserved
    seats: Annotated[
        str,
        Field(
            description="A letter for each seat, the first is seat 1's: `A` available, `H` on hold, `R` reserved.",
            examples=["AAHRAAAHAA"],
            json_schema_extra={"pattern": "^[AHR]*$"},
        ),
    ]


class Conflict(ApiModel):
    """A seat that is in the way of all those that were asked for."""

    seat_id: Annotated[str, Field(examples=[_SEAT])]
    status: SeatStatus


class JobData(ApiModel):
    """What the job was asked to do."""

    seat_id: Annotated[str, Field(description="The seat, or the first of several.", examples=[_SEAT])]
    seat_ids: Annotated[list[str], Field(description="All of them.", examples=[[_SEAT]])]
    user: Annotated[ShownUser, Field(alias="userUUID")] = ""
    reference: Annotated[
        str | None, Field(description="Of a reservation, what the client calls it; shown like the user.")
    ] = None


class JobResult(ApiModel):
    """A job's verdict: it did it, or it refused and says why."""

    success: bool
    message: Annotated[str, Field(description="For people.", examples=["The seat is on hold for you."])]
    seat: Annotated[
        Seat | None, Field(description="The seat, or the first of several, as the job left it. Only with success.")
    ] = None
    seats: Annotated[list[Seat] | None, Field(description="All of them. Only with success.")] = None
    error: Annotated[
        str | None,
        Field(
            description="For programs: `seat-held`, `seat-reserved`, `limit-reached`, `hold-expired`, `seat-unknown`, "
            "or why there is no verdict: `deadline-passed`, `internal-error`.",
            examples=["seat-held"],
        ),
    ] = None
    limit: Annotated[int | None, Field(description="With `limit-reached`: most seats a user may hold.")] = None
    held: Annotated[int | None, Field(description="With `limit-reached`: seats the user held.")] = None
    requested: Annotated[int | None, Field(description="With `limit-reached`: seats that would have been added.")] = (
        None
    )
    conflicts: Annotated[
        list[Conflict] | None, Field(description="Of several seats, those because of which none was got.")
    ] = None


class Job(ApiModel):
    """A hold or a reservation on its way. `completed` means there is a verdict, for or against;
    `failed`, that none could be reached in time."""

    id: Annotated[str, Field(examples=[_JOB])]
    type: JobType
    data: JobData
    status: JobStatus
    retry_of: Annotated[
        str | None, Field(description="The failed job that this one repeats. Only with those.", examples=[_JOB])
    ] = None
    result: JobResult | None = None
    created_at: Millis
    completed_at: Millis | None = None
    deadline: Annotated[Millis, Field(description="It ends by then, one way or the other.")]
    position: Annotated[int | None, Field(description="Rank among the event's open jobs, 0 = next.")] = None
    estimated_wait_time: Annotated[int | None, Field(description="Whole seconds, rounded up.")] = None
    server_time: Millis

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")


class QueueResponse(ApiModel):
    """An accepted job: where it is in the queue, and where to read its outcome."""

    message: Annotated[str, Field(description="For people.", examples=["Your request is in the queue."])]
    job_id: Annotated[str, Field(pattern=JOB_ID_PATTERN, examples=[_JOB])]
    position: Annotated[int, Field(description="Rank among the event's open jobs, 0 = next.", examples=[0])]
    estimated_wait_time: Annotated[int, Field(description="Whole seconds, rounded up.", examples=[1])]
    status_endpoint: Annotated[str, Field(examples=[f"/seats/job/{_JOB}/status"])]
