"""Webhooks as clients see them, and what is sent to them."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints

from reservation.fields import ApiModel, Millis
from reservation.ids import DELIVERY_ID_PATTERN, HOOK_ID_PATTERN
from reservation.outside import MAX_URL
from reservation.requests import Request

WebhookType = Literal[
    "seat.reserved",
    "seat.released",
    "seat.expired",
    "seat.cancelled",
    "seat.blocked",
    "seat.unblocked",
    "job.failed",
]
DeliveryStatus = Literal["pending", "delivered", "failed"]

_HOOK, _EVENT = "wh_7q2m9x4k1v", "k3v9x2m7qa"
_DELIVERY = f"{_HOOK}-1767225600000-0"
#: An example.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 - nobody's
#: A secret's bytes, by Standard Webhooks, and what they look like.
_SECRET_BYTES = range(24, 65)
_KEY_PATTERN = (
    "^whsec_(([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?|"
    "([A-Za-z0-9+/]{4}){21}([A-Za-z0-9+/]{2}==)?)$"
)
#: What the document says of a URL. More is asked of one (reservation.outside).
URL_PATTERN = r"^https?://[^\u0000-\u0020\u007f-\u00a0#]+$"


def _secret(text: str) -> str:
    try:
        whole = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        whole = b""
    if not text.startswith("whsec_") or len(whole) not in _SECRET_BYTES:
        raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
    return text


def _unique(types: list[WebhookType]) -> list[WebhookType]:
    if len(set(types)) != len(types):
        raise ValueError("must not name a type twice")
    return types


Types = Annotated[
    list[WebhookType],
    Field(
        min_length=1,
        description="What it is told.",
        examples=[["seat.reserved"]],
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_unique),
]
Url = Annotated[str, Field(description="Where messages are posted.", examples=["https://tickets.example/hooks"])]
Id = Annotated[str, Field(pattern=HOOK_ID_PATTERN, examples=[_HOOK])]


class NewWebhook(Request):
    """Where an event's messages shall go."""

    url: Annotated[
        str,
        StringConstraints(min_length=1, max_length=MAX_URL),
        Field(
            description="An `https` URL on the public internet, of whatever port. Nothing is sent to private "
            "addresses, and no redirect is followed.",
            examples=["https://tickets.example/hooks"],
            json_schema_extra={"pattern": URL_PATTERN},
        ),
    ]
    types: Annotated[Types, Field(description="What it shall be told. All there is if absent.")] = Field(
        default_factory=lambda: list(get_args(WebhookType))
    )
    secret: Annotated[
        str,
        AfterValidator(_secret),
        Field(
            description="What messages are signed with: `whsec_` and 24 to 64 random bytes in base64. Made up if "
            "absent.",
            examples=[SECRET],
            json_schema_extra={"pattern": _KEY_PATTERN},
        ),
    ] = ""


class WebhookChange(Request):
    """Whether messages shall go there."""

    enabled: bool


class Webhook(ApiModel):
    """Where an event's messages go."""

    id: Id
    url: Url
    types: Types
    enabled: Annotated[bool, Field(description="Whether messages are sent there.")]
    disabled: Annotated[
        Literal["by-request", "gone", "failing"] | None,
        Field(
            description="Why not: `gone`, it answered 410; `failing`, nothing arrived for three days.",
            examples=["gone"],
        ),
    ] = None
    created_at: Millis


class CreatedWebhook(Webhook):
    """A new webhook, and its secret, which is shown this once."""

    secret: Annotated[str, Field(description="What messages are signed with. Keep it.", examples=[SECRET])]


class WebhookList(ApiModel):
    """An event's webhooks, in the order in which they were made."""

    webhooks: list[Webhook]


class Delivery(ApiModel):
    """A message and what has become of it."""

    id: Annotated[
        str,
        Field(pattern=DELIVERY_ID_PATTERN, description="`webhook-id` of each attempt.", examples=[_DELIVERY]),
    ]
    type: WebhookType
    status: DeliveryStatus
    attempts: Annotated[int, Field(description="How often it was sent.", examples=[2])]
    status_code: Annotated[int | None, Field(description="What was answered last.", examples=[500])] = None
    error: Annotated[
        str | None,
        Field(
            description="Why there was no answer, the last time: `timeout`, `host-not-found`, `address-not-allowed`, "
            "`not-connected`, `tls`, `no-answer`, `internal-error`.",
            examples=["timeout"],
        ),
    ] = None
    next_attempt_at: Annotated[Millis | None, Field(description="When it is sent again. Only while pending.")] = None
    created_at: Annotated[Millis, Field(description="When that happened which it tells of.")]
    ended_at: Annotated[Millis | None, Field(description="When it was delivered, or given up.")] = None


class DeliveryList(ApiModel):
    """Messages, the newest first."""

    deliveries: list[Delivery]
    next_cursor: Annotated[
        str | None,
        Field(
            description="Pass as `cursor` for the next page. Absent on the last. With `status`, a page may have fewer "
            "than `limit`, or none.",
            examples=[_DELIVERY],
        ),
    ] = None


class MessageData(ApiModel):
    """What a message tells of."""

    event: Annotated[str, Field(description="The event's id.", examples=[_EVENT])]
    seat: Annotated[str, Field(description="The seat's id.", examples=[f"{_EVENT}-12"])]
    seats: Annotated[
        list[str] | None, Field(description="With `job.failed` of a job about several seats: all of them.")
    ] = None
    sequence: Annotated[
        int | None, Field(description="Number of the change, as in the feed. Not with `job.failed`.", examples=[18])
    ] = None
    actor: Annotated[
        str | None,
        Field(
            description="Who did it: a keyed hash, the same for one user throughout an event, from which nobody finds "
            "the user. Absent where nobody did it.",
            examples=["5d1c0f0a7be94c0d9a51d0f2"],
        ),
    ] = None
    job_id: Annotated[str | None, Field(description="With `job.failed`: the job.")] = None
    error: Annotated[str | None, Field(description="With `job.failed`: why.", examples=["deadline-passed"])] = None
    time: Millis


class Message(ApiModel):
    """What is posted to a webhook."""

    type: WebhookType
    timestamp: Annotated[
        str,
        Field(
            description="When it happened (ISO 8601); `data.time` is the same.",
            examples=["2026-01-01T00:00:00.000Z"],
            json_schema_extra={"format": "date-time"},
        ),
    ]
    data: MessageData


def iso(time_ms: int) -> str:
    """A time as ISO 8601 has it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
