"""What clients are answered, as pydantic models. With those of what they send the OpenAPI documents are generated from
them. Times are epoch milliseconds."""

from typing import Annotated, Literal

from pydantic import Field

from reservation.fields import (
    EXAMPLE_EVENT,
    EXAMPLE_JOB,
    EXAMPLE_SEAT,
    EXAMPLE_TICKET,
    INSIDER,
    Adjacent,
    AdmissionTtl,
    AdmitPerMinute,
    ApiModel,
    ClosesAt,
    JobStatus,
    JobType,
    Millis,
    OpensAt,
    Priority,
    SeatStatus,
    ShownUser,
    TicketStatus,
)
from reservation.ids import JOB_ID_PATTERN, TICKET_PATTERN


class WaitingRoom(ApiModel):
    """How people are let in who want to buy."""

    admit_per_minute: AdmitPerMinute
    admission_ttl: AdmissionTtl


class Event(ApiModel):
    """An event and how many seats it has."""

    id: Annotated[str, Field(examples=[EXAMPLE_EVENT])]
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
        Field(
            pattern=TICKET_PATTERN, description="Whoever knows it is let in: keep it secret.", examples=[EXAMPLE_TICKET]
        ),
    ]
    event: Annotated[str, Field(description="The event's id.", examples=[EXAMPLE_EVENT])]
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
    status_endpoint: Annotated[str, Field(examples=[f"/events/{EXAMPLE_EVENT}/queue/{EXAMPLE_TICKET}"])]


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

    event: Annotated[str, Field(description="The event's id.", examples=[EXAMPLE_EVENT])]
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
        str | None,
        Field(description="Pass as `cursor` for the next page. Absent on the last.", examples=[EXAMPLE_EVENT]),
    ] = None


class Seat(ApiModel):
    """A seat as it is at `serverTime`."""

    id: Annotated[str, Field(examples=[EXAMPLE_SEAT])]
    event_id: Annotated[str, Field(examples=[EXAMPLE_EVENT])]
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
            examples=[EXAMPLE_JOB],
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

    event: Annotated[str, Field(description="The event's id.", examples=[EXAMPLE_EVENT])]
    server_time: Millis
    limit: Annotated[int, Field(description="Most seats that a user may hold.", examples=[6])]
    hold_duration: Annotated[int, Field(description="How long a hold lasts, ms.", examples=[60000])]
    holds: Annotated[list[Seat], Field(description="Those that end first come first.")]
    reservations: Annotated[list[Seat], Field(description="In the order in which they were made.")]


class FreeSeats(ApiModel):
    """The free seats of an event, by number."""

    event: Annotated[str, Field(description="The event's id.", examples=[EXAMPLE_EVENT])]
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
    seat: Annotated[str, Field(description="The seat's id.", examples=[EXAMPLE_SEAT])]
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
    seat: Annotated[str, Field(description="The seat's id.", examples=[EXAMPLE_SEAT])]
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
    job: Annotated[str | None, Field(description="The job that it was done by.", examples=[EXAMPLE_JOB])] = None
    request: Annotated[
        str | None, Field(description="`X-Request-ID` of the request for it.", examples=["7d1f0a4c9be2e356"])
    ] = None
    reason: Annotated[str | None, Field(description="What an operator gave as one, who blocked or unblocked it.")] = (
        None
    )


class AuditTrail(ApiModel):
    """What has happened to the seats of an event, oldest first."""

    event: Annotated[str, Field(description="The event's id.", examples=[EXAMPLE_EVENT])]
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

    event: Annotated[str, Field(description="The event's id.", examples=[EXAMPLE_EVENT])]
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

    event: Annotated[str, Field(description="The event's id.", examples=[EXAMPLE_EVENT])]
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

    seat_id: Annotated[str, Field(examples=[EXAMPLE_SEAT])]
    status: SeatStatus


class JobData(ApiModel):
    """What the job was asked to do."""

    seat_id: Annotated[str, Field(description="The seat, or the first of several.", examples=[EXAMPLE_SEAT])]
    seat_ids: Annotated[list[str], Field(description="All of them.", examples=[[EXAMPLE_SEAT]])]
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

    id: Annotated[str, Field(examples=[EXAMPLE_JOB])]
    type: JobType
    data: JobData
    status: JobStatus
    retry_of: Annotated[
        str | None, Field(description="The failed job that this one repeats. Only with those.", examples=[EXAMPLE_JOB])
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
    job_id: Annotated[str, Field(pattern=JOB_ID_PATTERN, examples=[EXAMPLE_JOB])]
    position: Annotated[
        int, Field(description="Open jobs of the event that are carried out before, 0 = next.", examples=[0])
    ]
    estimated_wait_time: Annotated[int, Field(description="Whole seconds, rounded up.", examples=[1])]
    status_endpoint: Annotated[str, Field(examples=[f"/seats/job/{EXAMPLE_JOB}/status"])]
