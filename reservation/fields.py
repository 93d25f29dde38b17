"""What requests and answers have in common: words, checks, and members that are in both."""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from reservation.errors import InvalidId
from reservation.ids import SEAT_ID_PATTERN, UUID_PATTERN, SeatId, parse_uuid

Millis = Annotated[int, Field(description="Epoch milliseconds.", examples=[1767225600000])]
SeatStatus = Literal["Available", "On hold", "Reserved", "Blocked"]
Priority = Literal["standard", "vip"]
JobType = Literal["HOLD_SEAT", "RESERVE_SEAT"]
#: Whether a group has to sit together, or only would like to.
Adjacent = Literal["required", "preferred"]
JobStatus = Literal["waiting", "active", "completed", "failed"]
TicketStatus = Literal["early", "waiting", "admitted"]

#: A viewer to whom every user is shown: the service itself, and who may see all.
INSIDER = "*"

EXAMPLE_EVENT = "k3v9x2m7qa"
EXAMPLE_SEAT = f"{EXAMPLE_EVENT}-12"
EXAMPLE_USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
EXAMPLE_JOB = f"{EXAMPLE_EVENT}-4m0s8y2k1c7r5t9w3x6z0b8d2"
EXAMPLE_TICKET = "9s3k1x7m5q0w2e8r4t6y1u3i5"

#: When sales may begin, epoch ms: 2001 to 2100, so that seconds or microseconds are refused.
_FIRST_OPENING, LAST_OPENING = 1_000_000_000_000, 4_102_444_800_000


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
NAME_PATTERN = f"^[^{_CONTROLS}]*[^{_CONTROLS}{_BLANKS}][^{_CONTROLS}]*$"
_control, _visible = re.compile(f"[{_CONTROLS}]").search, re.compile(f"[^{_BLANKS}]").search


def check_name(text: str) -> str:
    if _control(text):
        raise ValueError("must not contain control characters")
    if not _visible(text):
        raise ValueError("must not be blank")
    return text.strip()


# Checked by the same functions as in paths and headers, whose messages are for people; the patterns
# are for the document.
SeatIdField = Annotated[
    str,
    AfterValidator(says_why(SeatId.parse)),
    Field(description="`<eventId>-<number>`.", examples=[EXAMPLE_SEAT], json_schema_extra={"pattern": SEAT_ID_PATTERN}),
]
UserField = Annotated[
    str,
    AfterValidator(says_why(parse_uuid)),
    Field(
        json_schema_extra={"format": "uuid", "pattern": UUID_PATTERN},
        alias="UUID",
        description="The user: any RFC 9562 UUID with hyphens. Without tokens, whoever knows it can act for that user: "
        "keep it secret. With a token it may be left out, and must be the token's if it is there.",
        examples=[EXAMPLE_USER],
    ),
]
ShownUser = Annotated[
    str,
    Field(
        description="The user, shown only to a caller who presents the same UUID; otherwise empty.",
        examples=[EXAMPLE_USER],
    ),
]


class ApiModel(BaseModel):
    """An answer. Public names are in camelCase, as they always were."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


def _given(value: object) -> object:
    if value is None:
        raise ValueError("must not be null; leave it out")
    return value


#: Of a member that may be left out: null is another thing, and says nothing.
NotNull = BeforeValidator(_given)


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
        le=LAST_OPENING,
        description="When sales begin, epoch milliseconds: no seat can be held before. Absent: at once.",
        examples=[1767225600000],
    ),
]


ClosesAt = Annotated[
    int,
    Field(
        ge=_FIRST_OPENING,
        le=LAST_OPENING,
        description="When sales end, epoch milliseconds: from then on no seat can be held, and no hold prolonged. "
        "Absent: never.",
        examples=[1767312000000],
    ),
]
