"""The things clients see, as pydantic models: what requests are validated with, what answers are
made of, and what the OpenAPI documents are generated from. Times are epoch milliseconds.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from reservation.errors import InvalidId
from reservation.ids import (
    EVENT_ID_PATTERN,
    JOB_ID_PATTERN,
    MAX_BLOCK,
    MAX_GROUP,
    MAX_SEATS,
    MIN_SEATS,
    SEAT_ID_PATTERN,
    TICKET_PATTERN,
    UUID_PATTERN,
    SeatId,
    parse_event_id,
    parse_uuid,
)

Millis = Annotated[int, Field(description="Epoch milliseconds.", examples=[1767225600000])]
SeatStatus = Literal["Available", "On hold", "Reserved", "Blocked"]
Priority = Literal["standard", "vip"]
JobType = Literal["HOLD_SEAT", "RESERVE_SEAT"]
#: Whether a group has to sit together, or only would like to.
Adjacent = Literal["required", "preferred"]
JobStatus = Literal["waiting", "active", "completed", "failed"]
TicketStatus = Literal["early", "waiting", "admitted"]

#: Most sections and rows of a layout, most seats of a row, and most kinds of rows that a section lists.
MAX_SECTIONS, MAX_ROWS, MAX_ROW, _MAX_KINDS = 50, 1_000, 1_000, 100

#: A viewer to whom every user is shown: the service itself, and who may see all.
INSIDER = "*"

_EVENT = "k3v9x2m7qa"
_SEAT = f"{_EVENT}-12"
_USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
_JOB = f"{_EVENT}-4m0s8y2k1c7r5t9w3x6z0b8d2"
_TICKET = "9s3k1x7m5q0w2e8r4t6y1u3i5"

#: When sales may begin, epoch ms: 2001 to 2100, so that seconds or microseconds are refused.
_FIRST_OPENING, _LAST_OPENING = 1_000_000_000_000, 4_102_444_800_000


def says_why(parse: Callable[[str], object]) -> Callable[[str], str]:
    """A check for a member or parameter that is an id: what `parse` makes of it, as text, or what is wrong."""

    def check(text: str) -> str:
        try:
            return str(parse(text))
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
    AfterValidator(says_why(SeatId.parse)),
    Field(description="`<eventId>-<number>`.", examples=[_SEAT], json_schema_extra={"pattern": SEAT_ID_PATTERN}),
]
UserField = Annotated[
    str,
    AfterValidator(says_why(parse_uuid)),
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


def _given(value: object) -> object:
    if value is None:
        raise ValueError("must not be null; leave it out")
    return value


#: Of a member that may be left out: null is another thing, and says nothing.
_NotNull = BeforeValidator(_given)


_ShownName = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": _NAME_PATTERN})]


def row_name(place: int) -> str:
    """What a row without a name is called, by its place from 0: A to Z, AA, AB, and so on."""
    name = ""
    while place >= 0:
        place, letter = divmod(place, 26)
        name = chr(ord("A") + letter) + name
        place -= 1
    return name


class NewRows(_Request):
    """One row of a section, or several alike."""

    seats: Annotated[int, Field(ge=1, le=MAX_ROW, description="Seats of each.", examples=[25])]
    count: Annotated[int, Field(ge=1, le=MAX_ROWS, description="So many rows alike.", examples=[12])] = 1
    name: Annotated[
        Annotated[_ShownName, Field(max_length=20)] | None,
        _NotNull,
        Field(description="Of a single row. Otherwise rows go by letters: A to Z, AA, AB, …", examples=["A"]),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.name is not None and self.count > 1:
            raise ValueError("only a single row can have a name of its own")
        return self


class NewSection(_Request):
    """A section of a hall."""

    name: Annotated[_ShownName, Field(max_length=50, examples=["Stalls"])]
    rank: Annotated[
        int, Field(ge=1, le=1000, description="1 is best. Sections of one rank are equally good.", examples=[1])
    ] = 1
    rows: Annotated[list[NewRows], Field(min_length=1, max_length=_MAX_KINDS, description="The best row first.")]

    @property
    def row_names(self) -> list[str]:
        """Of each row."""
        names: list[str] = []
        for rows in self.rows:
            names += [rows.name or row_name(len(names) + i) for i in range(rows.count)]
        return names


class NewLayout(_Request):
    """How the seats are laid out. They are numbered through, section by section and row by row."""

    sections: Annotated[list[NewSection], Field(min_length=1, max_length=MAX_SECTIONS)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if sum(rows.count for section in self.sections for rows in section.rows) > MAX_ROWS:
            raise ValueError(f"must have at most {MAX_ROWS:,} rows in all")
        if not MIN_SEATS <= self.seats <= MAX_SEATS:
            raise ValueError(f"must have {MIN_SEATS} to {MAX_SEATS:,} seats in all, and has {self.seats:,}")
        names = [section.name for section in self.sections]
        if len(set(names)) < len(names):
            raise ValueError("must not have two sections of one name")
        for section in self.sections:
            if len(set(section.row_names)) < len(section.row_names):
                raise ValueError(f"must not have two rows of one name in {section.name}")
        return self

    @property
    def seats(self) -> int:
        """How many there are."""
        return sum(rows.count * rows.seats for section in self.sections for rows in section.rows)


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


ClosesAt = Annotated[
    int,
    Field(
        ge=_FIRST_OPENING,
        le=_LAST_OPENING,
        description="When sales end, epoch milliseconds: from then on no seat can be held, and no hold prolonged. "
        "Absent: never.",
        examples=[1767312000000],
    ),
]


class NewWaitingRoom(_Request):
    """How people are let in who want to buy."""

    admit_per_minute: AdmitPerMinute
    admission_ttl: Annotated[AdmissionTtl | None, _NotNull] = None


class NewEvent(_Request):
    """What to sell: so many seats, or those of a layout."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["totalSeats"]}, {"required": ["layout"]}]})

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
    total_seats: Annotated[
        Annotated[int, Field(ge=MIN_SEATS, le=MAX_SEATS)] | None,
        _NotNull,
        Field(description="Seats to sell. May be left out with a layout, and is as many as that has.", examples=[500]),
    ] = None
    layout: Annotated[
        NewLayout | None,
        _NotNull,
        Field(description="Where the seats are. Otherwise they get rows by a rule of the service's."),
    ] = None
    opens_at: Annotated[OpensAt | None, _NotNull] = None
    closes_at: Annotated[ClosesAt | None, _NotNull, Field(description="After `opensAt`, and in the future.")] = None
    waiting_room: Annotated[
        NewWaitingRoom | None, _NotNull, Field(description="Seats can be held only by who was admitted from it.")
    ] = None

    @model_validator(mode="after")
    def _has_seats(self) -> Self:
        if self.layout is None and self.total_seats is None:
            raise _wrong("totalSeats", "missing")
        if self.layout is not None and self.total_seats not in (None, self.layout.seats):
            said = PydanticCustomError(
                "seats", "must be as many as the layout has, {seats}", {"seats": self.layout.seats}
            )
            raise _wrong("totalSeats", said)
        if None not in (self.opens_at, self.closes_at) and self.closes_at <= self.opens_at:  # type: ignore[operator]  # as checked
            raise _wrong("closesAt", PydanticCustomError("times", "must be after opensAt"))
        return self

    @property
    def seats(self) -> int:
        """How many there are."""
        return self.total_seats if self.layout is None else self.layout.seats  # type: ignore[return-value]  # as checked


class EventChange(_Request):
    """When an event's sales begin and end."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    opens_at: Annotated[
        OpensAt | None, _NotNull, Field(description="Until sales have begun. A time that is past: now.")
    ] = None
    closes_at: Annotated[
        ClosesAt | None,
        Field(
            description="After `opensAt`. A time that is past: now. `null`: never.",
            json_schema_extra={"type": ["integer", "null"]},
        ),
    ] = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("there has to be opensAt or closesAt")
        return self


def _wrong(member: str, why: str | PydanticCustomError) -> ValidationError:
    """What is wrong with one member, if it takes another to see it."""
    return ValidationError.from_exception_data("request", [InitErrorDetails(type=why, loc=(member,), input=None)])


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
        if not self.ids:
            return self
        if len(set(self.ids)) < len(self.ids):
            raise ValueError("ids: a seat is named twice")
        if len({each.partition("-")[0] for each in self.ids}) > 1:
            raise ValueError("ids: the seats are of several events")
        return self

    @property
    def seats(self) -> tuple[SeatId, ...]:
        """Those that are meant."""
        return tuple(map(SeatId.parse, self.ids or [self.id]))


class Queued(_Request):
    """When a job is to be carried out."""

    priority: Annotated[
        Priority,
        Field(
            description="`vip`: before the `standard` ones that wait, which get their share all the same. With tokens "
            "it needs the scope `seats:vip`."
        ),
    ] = "standard"
    not_before: Annotated[
        Annotated[int, Field(ge=0, le=_LAST_OPENING)] | None,
        _NotNull,
        Field(
            description="Carry it out then (epoch ms), or within a second or two after. A reservation: before the hold "
            "ends. At once if it is past.",
            examples=[1767225660000],
        ),
    ] = None


class Holding(SeatAction, Queued):
    """Seats to be held, for whom, and when."""


class Reserving(SeatAction, Queued):
    """Seats to be reserved, when, and what the client calls the reservation."""

    reference: Annotated[
        str,
        StringConstraints(max_length=100, pattern=_REFERENCE_PATTERN),
        Field(
            description="Of your choice, an order number for example: visible ASCII characters and spaces. It is kept "
            "with the reservation, and told to its user.",
            examples=["order-2026-1147"],
        ),
    ] = ""


class SeatBlock(_Request):
    """Seats of an event that operators take out of the sale, or put back."""

    ids: Annotated[
        list[SeatIdField],
        Field(
            min_length=1,
            max_length=MAX_BLOCK,
            description="The seats: all of them, or none.",
            examples=[[_SEAT, f"{_EVENT}-13"]],
            json_schema_extra={"uniqueItems": True},
        ),
    ]
    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=100),
        AfterValidator(_name),
        Field(
            description="For the event's history, in which nobody else is named. Not blank, no control characters.",
            examples=["Broken armrest"],
            json_schema_extra={"pattern": _NAME_PATTERN},
        ),
    ] = ""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.ids)) < len(self.ids):
            raise ValueError("ids: a seat is named twice")
        return self

    @property
    def seats(self) -> tuple[SeatId, ...]:
        """Those that are meant."""
        return tuple(map(SeatId.parse, self.ids))


class Group(Queued):
    """So many of an event's best seats, and the user who wants them, unless a token says who that is."""

    event_id: Annotated[
        str,
        AfterValidator(says_why(parse_event_id)),
        Field(description="The event.", examples=[_EVENT], json_schema_extra={"pattern": EVENT_ID_PATTERN}),
    ]
    quantity: Annotated[
        int, Field(ge=1, le=MAX_GROUP, description="How many, none of which the user holds yet.", examples=[2])
    ]
    adjacent: Annotated[
        Adjacent,
        Field(
            description="`required`: next to one another in one row, or none. `preferred`: otherwise near one another."
        ),
    ] = "preferred"
    user: UserField = ""


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
    closes_at: ClosesAt | None = None
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


class LayoutRow(ApiModel):
    """A row: its seats have consecutive numbers."""

    name: Annotated[str, Field(examples=["A"])]
    first: Annotated[int, Field(description="The number of its first seat.", examples=[1])]
    seats: Annotated[int, Field(description="How many it has.", examples=[25])]


class LayoutSection(ApiModel):
    """A section of a hall."""

    name: Annotated[str, Field(examples=["Stalls"])]
    rank: Annotated[int, Field(description="1 is best. Sections of one rank are equally good.", examples=[1])]
    rows: Annotated[list[LayoutRow], Field(description="The best first.")]


class Layout(ApiModel):
    """Where the seats of an event are. It never changes."""

    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    total_seats: Annotated[int, Field(examples=[500])]
    given: Annotated[
        bool, Field(description="Whether the event was created with it; otherwise it is the service's rule.")
    ]
    sections: list[LayoutSection]


Free = Annotated[int, Field(description="Seats that are free.", examples=[497])]
Held = Annotated[int, Field(description="Seats on hold.", examples=[2])]
Reserved = Annotated[int, Field(description="Seats that are reserved.", examples=[1])]
Blocked = Annotated[int, Field(description="Seats that operators have taken out of the sale.", examples=[0])]


class EventSummary(Event):
    """An event and how its seats stand."""

    free: Free
    held: Held
    reserved: Reserved
    blocked: Blocked = 0


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
        Literal["held", "refreshed", "reserved", "released", "expired", "cancelled", "blocked", "unblocked"],
        Field(examples=["held"]),
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
            description="`held`, `refreshed`, `reserved`, `released`, `expired`, `cancelled`, `blocked`, `unblocked`, "
            "or another.",
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
    reason: Annotated[str | None, Field(description="What an operator gave as one, who blocked or unblocked it.")] = (
        None
    )


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


class ChangeList(ApiModel):
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
    blocked: Blocked = 0
    seats: Annotated[
        str,
        Field(
            description="A letter for each seat, the first is seat 1's: `A` available, `H` on hold, `R` reserved, `B` "
            "blocked.",
            examples=["AAHRAAAHAA"],
            json_schema_extra={"pattern": "^[AHRB]*$"},
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
    quantity: Annotated[
        int | None,
        Field(description="Of a job for the best seats, whose first choice are `seatIds`: how many it is to get."),
    ] = None
    adjacent: Annotated[Adjacent | None, Field(description="The same: whether they have to be together.")] = None


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
            description="For programs: `seat-held`, `seat-reserved`, `seat-blocked`, `limit-reached`, `hold-expired`, "
            "`event-closed`, `seat-unknown`, `no-seats-together`, `too-few-seats`, "
            "or why there is no verdict: `deadline-passed`, `internal-error`.",
            examples=["seat-held"],
        ),
    ] = None
    limit: Annotated[int | None, Field(description="With `limit-reached`: most seats a user may hold.")] = None
    held: Annotated[int | None, Field(description="With `limit-reached`: seats the user held.")] = None
    requested: Annotated[int | None, Field(description="With `limit-reached`: seats that would have been added.")] = (
        None
    )
    largest_block: Annotated[
        int | None,
        Field(description="With `no-seats-together` and `too-few-seats`: most free seats next to one another."),
    ] = None
    free: Annotated[int | None, Field(description="With those: free seats.")] = None
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
    priority: Priority = "standard"
    not_before: Annotated[
        Millis | None, Field(description="It is not carried out before. Only with those that are to be later.")
    ] = None
    created_at: Millis
    completed_at: Millis | None = None
    deadline: Annotated[Millis, Field(description="It ends by then, one way or the other.")]
    position: Annotated[
        int | None, Field(description="Open jobs of the event that are carried out before, 0 = next.")
    ] = None
    estimated_wait_time: Annotated[int | None, Field(description="Whole seconds, rounded up.")] = None
    server_time: Millis

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")


class QueueResponse(ApiModel):
    """An accepted job: where it is in the queue, and where to read its outcome."""

    message: Annotated[str, Field(description="For people.", examples=["Your request is in the queue."])]
    job_id: Annotated[str, Field(pattern=JOB_ID_PATTERN, examples=[_JOB])]
    position: Annotated[
        int, Field(description="Open jobs of the event that are carried out before, 0 = next.", examples=[0])
    ]
    estimated_wait_time: Annotated[int, Field(description="Whole seconds, rounded up.", examples=[1])]
    status_endpoint: Annotated[str, Field(examples=[f"/seats/job/{_JOB}/status"])]
