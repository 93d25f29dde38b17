"""What clients send, as pydantic models: what requests are validated with. Times are epoch milliseconds."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from reservation.fields import (
    EXAMPLE_EVENT,
    EXAMPLE_SEAT,
    LAST_OPENING,
    NAME_PATTERN,
    Adjacent,
    AdmissionTtl,
    AdmitPerMinute,
    ApiModel,
    ClosesAt,
    NotNull,
    OpensAt,
    Priority,
    SeatIdField,
    UserField,
    check_name,
    says_why,
)
from reservation.ids import EVENT_ID_PATTERN, MAX_BLOCK, MAX_GROUP, MAX_SEATS, MIN_SEATS, SeatId, parse_event_id

#: Most sections and rows of a layout, most seats of a row, and most kinds of rows that a section lists.
MAX_SECTIONS, MAX_ROWS, MAX_ROW, _MAX_KINDS = 50, 1_000, 1_000, 100

#: ASCII that can be seen, with single spaces in between: what stands in headers, CSV and logs as it is.
_REFERENCE_PATTERN = r"^[!-~]+( [!-~]+)*$"


class Request(ApiModel):
    """A body."""

    # Strict: "10", 10.5 and true are no integers. A misspelt member is an error, not ignored.
    # By alias only: `user` is no public name for `UUID`.
    model_config = ConfigDict(strict=True, extra="forbid", validate_by_name=False, validate_by_alias=True)


_ShownName = Annotated[str, AfterValidator(check_name), Field(json_schema_extra={"pattern": NAME_PATTERN})]


def row_name(place: int) -> str:
    """What a row without a name is called, by its place from 0: A to Z, AA, AB, and so on."""
    name = ""
    while place >= 0:
        place, letter = divmod(place, 26)
        name = chr(ord("A") + letter) + name
        place -= 1
    return name


class NewRows(Request):
    """One row of a section, or several alike."""

    seats: Annotated[int, Field(ge=1, le=MAX_ROW, description="Seats of each.", examples=[25])]
    count: Annotated[int, Field(ge=1, le=MAX_ROWS, description="So many rows alike.", examples=[12])] = 1
    name: Annotated[
        Annotated[_ShownName, Field(max_length=20)] | None,
        NotNull,
        Field(description="Of a single row. Otherwise rows go by letters: A to Z, AA, AB, …", examples=["A"]),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.name is not None and self.count > 1:
            raise ValueError("only a single row can have a name of its own")
        return self


class NewSection(Request):
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


class NewLayout(Request):
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


class NewWaitingRoom(Request):
    """How people are let in who want to buy."""

    admit_per_minute: AdmitPerMinute
    admission_ttl: Annotated[AdmissionTtl | None, NotNull] = None


class NewEvent(Request):
    """What to sell: so many seats, or those of a layout."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["totalSeats"]}, {"required": ["layout"]}]})

    name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=200),
        AfterValidator(check_name),
        Field(
            description="Shown to people. Not blank, no control characters. Spaces around it are dropped.",
            examples=["Opening night"],
            json_schema_extra={"pattern": NAME_PATTERN},
        ),
    ]
    total_seats: Annotated[
        Annotated[int, Field(ge=MIN_SEATS, le=MAX_SEATS)] | None,
        NotNull,
        Field(description="Seats to sell. May be left out with a layout, and is as many as that has.", examples=[500]),
    ] = None
    layout: Annotated[
        NewLayout | None,
        NotNull,
        Field(description="Where the seats are. Otherwise they get rows by a rule of the service's."),
    ] = None
    opens_at: Annotated[OpensAt | None, NotNull] = None
    closes_at: Annotated[ClosesAt | None, NotNull, Field(description="After `opensAt`, and in the future.")] = None
    waiting_room: Annotated[
        NewWaitingRoom | None, NotNull, Field(description="Seats can be held only by who was admitted from it.")
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


class EventChange(Request):
    """When an event's sales begin and end."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    opens_at: Annotated[
        OpensAt | None, NotNull, Field(description="Until sales have begun. A time that is past: now.")
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


class SeatAction(Request):
    """A seat, or several of one event, and the user who acts on them, unless a token says who that is."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["id"]}, {"required": ["ids"]}]})

    id: Annotated[SeatIdField, Field(description="The seat, unless there are `ids`.")] = ""
    ids: Annotated[
        list[SeatIdField],
        Field(
            min_length=2,
            max_length=MAX_GROUP,
            description="Several seats of one event, instead of `id`: it is done to all of them, or to none.",
            examples=[[EXAMPLE_SEAT, f"{EXAMPLE_EVENT}-13"]],
            json_schema_extra={"uniqueItems": True},
        ),
    ] = []  # noqa: RUF012 - pydantic copies it
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


class Queued(Request):
    """When a job is to be carried out."""

    priority: Annotated[
        Priority,
        Field(
            description="`vip`: before the `standard` ones that wait, which get their share all the same. With tokens "
            "it needs the scope `seats:vip`."
        ),
    ] = "standard"
    not_before: Annotated[
        Annotated[int, Field(ge=0, le=LAST_OPENING)] | None,
        NotNull,
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


class SeatBlock(Request):
    """Seats of an event that operators take out of the sale, or put back."""

    ids: Annotated[
        list[SeatIdField],
        Field(
            min_length=1,
            max_length=MAX_BLOCK,
            description="The seats: all of them, or none.",
            examples=[[EXAMPLE_SEAT, f"{EXAMPLE_EVENT}-13"]],
            json_schema_extra={"uniqueItems": True},
        ),
    ]
    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=100),
        AfterValidator(check_name),
        Field(
            description="For the event's history, in which nobody else is named. Not blank, no control characters.",
            examples=["Broken armrest"],
            json_schema_extra={"pattern": NAME_PATTERN},
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
        Field(description="The event.", examples=[EXAMPLE_EVENT], json_schema_extra={"pattern": EVENT_ID_PATTERN}),
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


class QueueEntry(Request):
    """The user who wants a ticket, unless a token says who that is."""

    user: UserField = ""
