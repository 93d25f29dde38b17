"""One example of each answer, made of the models themselves, for the OpenAPI documents."""

from pydantic import BaseModel

from reservation.models import (
    AuditEntry,
    AuditTrail,
    Change,
    ChangeList,
    Event,
    EventList,
    EventSummary,
    FreeSeats,
    Job,
    JobData,
    JobResult,
    Layout,
    LayoutRow,
    LayoutSection,
    OwnSeats,
    QueueResponse,
    Refreshed,
    Seat,
    SeatMap,
    Ticket,
)
from reservation.requests import EventChange, Group, Holding, NewEvent, QueueEntry, Reserving, SeatAction, SeatBlock
from reservation.webhook_models import (
    SECRET,
    CreatedWebhook,
    Delivery,
    DeliveryList,
    Message,
    MessageData,
    NewWebhook,
    Webhook,
    WebhookChange,
    WebhookList,
    iso,
)
from reservation_http.resources.health import Live, Ready
from reservation_http.resources.operations import Bucket, Duration, Ended, Failure, OperationsFigures, Waiting

_NOW = 1767225600000
_EVENT = "k3v9x2m7qa"
_SEAT = f"{_EVENT}-12"
_USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
_JOB = f"{_EVENT}-4m0s8y2k1c7r5t9w3x6z0b8d2"
_TICKET = "9s3k1x7m5q0w2e8r4t6y1u3i5"

_HELD = Seat(id=_SEAT, event_id=_EVENT, user=_USER, status="On hold", expires_at=_NOW + 60_000, server_time=_NOW)

_HOOK = Webhook(
    id="wh_7q2m9x4k1v",
    url="https://tickets.example/hooks",
    types=["seat.reserved", "job.failed"],
    enabled=True,
    created_at=_NOW,
)
_DELIVERY = Delivery(
    id=f"{_HOOK.id}-{_NOW}-0",
    type="seat.reserved",
    status="pending",
    attempts=2,
    status_code=500,
    next_attempt_at=_NOW + 41_000,
    created_at=_NOW,
)

EXAMPLES: dict[type[BaseModel], BaseModel] = {
    type(example): example
    for example in (
        NewEvent.model_validate(
            {
                "name": "Opening night",
                "layout": {
                    "sections": [
                        {"name": "Stalls", "rows": [{"seats": 25, "count": 12}]},
                        {"name": "Circle", "rank": 2, "rows": [{"seats": 25, "count": 8}]},
                    ]
                },
                "totalSeats": 500,
            }
        ),
        SeatAction.model_validate({"id": _SEAT, "UUID": _USER}),
        Holding.model_validate({"id": _SEAT, "UUID": _USER}),
        Reserving.model_validate({"id": _SEAT, "UUID": _USER, "reference": "order-2026-1147"}),
        EventChange.model_validate({"closesAt": 1767312000000}),
        SeatBlock.model_validate({"ids": [_SEAT, f"{_EVENT}-13"], "reason": "Broken armrest"}),
        Group.model_validate({"eventId": _EVENT, "quantity": 2, "adjacent": "required", "UUID": _USER}),
        QueueEntry.model_validate({"UUID": _USER}),
        Ticket(
            ticket=_TICKET,
            event=_EVENT,
            status="waiting",
            place=41,
            admitted_at=_NOW + 4_200,
            estimated_wait_time=5,
            server_time=_NOW,
            status_endpoint=f"/events/{_EVENT}/queue/{_TICKET}",
        ),
        Event(id=_EVENT, name="Opening night", total_seats=500, created_at=_NOW),
        Layout(
            event=_EVENT,
            total_seats=500,
            given=True,
            sections=[
                LayoutSection(
                    name=name,
                    rank=rank,
                    rows=[LayoutRow(name=chr(ord("A") + row), first=first + 25 * row, seats=25) for row in range(rows)],
                )
                for name, rank, first, rows in (("Stalls", 1, 1, 12), ("Circle", 2, 301, 8))
            ],
        ),
        EventList(
            events=[
                EventSummary(
                    id=_EVENT,
                    name="Opening night",
                    total_seats=500,
                    created_at=_NOW,
                    free=497,
                    held=2,
                    reserved=1,
                )
            ],
            next_cursor=_EVENT,
        ),
        _HELD,
        Refreshed(**dict(_HELD)),
        FreeSeats(
            event=_EVENT,
            total=498,
            seats=[Seat(id=f"{_EVENT}-{n}", event_id=_EVENT, status="Available") for n in (1, 2)],
            next_cursor="2",
        ),
        OwnSeats(
            event=_EVENT,
            server_time=_NOW,
            limit=6,
            hold_duration=60_000,
            holds=[_HELD],
            reservations=[
                Seat(
                    id=f"{_EVENT}-13",
                    event_id=_EVENT,
                    user=_USER,
                    status="Reserved",
                    reservation_id=_JOB,
                    reference="order-2026-1147",
                )
            ],
        ),
        SeatMap(event=_EVENT, sequence=17, server_time=_NOW, free=7, held=2, reserved=1, seats="AAHRAAAHAA"),
        ChangeList(
            event=_EVENT,
            sequence=18,
            changes=[Change(sequence=18, seat=_SEAT, before="Available", to="On hold", cause="held", time=_NOW)],
        ),
        AuditTrail(
            event=_EVENT,
            entries=[
                AuditEntry(
                    sequence=18,
                    time=_NOW,
                    seat=_SEAT,
                    before="Available",
                    to="On hold",
                    cause="held",
                    actor="5f0c9d1be2a4476c8b1d03fa",
                    job=_JOB,
                    request="7d1f0a4c9be2e356",
                )
            ],
            next_cursor=f"{_NOW}-0",
        ),
        QueueResponse(
            message="Your request to hold this seat is in the queue.",
            job_id=_JOB,
            position=0,
            estimated_wait_time=1,
            status_endpoint=f"/seats/job/{_JOB}/status",
        ),
        Job(
            id=_JOB,
            type="HOLD_SEAT",
            data=JobData(seat_id=_SEAT, seat_ids=[_SEAT], user=_USER),
            status="completed",
            result=JobResult(success=True, message="The seat is on hold for you.", seat=_HELD, seats=[_HELD]),
            created_at=_NOW - 4,
            completed_at=_NOW - 1,
            deadline=_NOW + 29_996,
            server_time=_NOW,
        ),
        NewWebhook.model_validate({"url": _HOOK.url, "types": ["seat.reserved", "job.failed"]}),
        WebhookChange(enabled=True),
        _HOOK,
        CreatedWebhook(**_HOOK.model_dump(), secret=SECRET),
        WebhookList(webhooks=[_HOOK]),
        _DELIVERY,
        DeliveryList(deliveries=[_DELIVERY]),
        Message(
            type="seat.reserved",
            timestamp=iso(_NOW),
            data=MessageData(event=_EVENT, seat=_SEAT, sequence=18, actor="5d1c0f0a7be94c0d9a51d0f2", time=_NOW),
        ),
        Live(),
        OperationsFigures(
            time=_NOW,
            queue=Waiting(messages=3, lag_seconds=0.012),
            workers=2,
            sweepers=1,
            open_jobs=4,
            oldest_job_seconds=0.02,
            holds=128,
            expired=17,
            jobs=[
                Ended(type="HOLD_SEAT", outcome=outcome, count=n) for outcome, n in (("held", 480), ("seat-held", 35))
            ],
            durations=[
                Duration(
                    type="HOLD_SEAT",
                    count=515,
                    buckets=[Bucket(le=le, count=n) for le, n in ((0.005, 402), (0.01, 511))],
                )
            ],
            failed=[Failure(job=_JOB, type="HOLD_SEAT", error="deadline-passed", time=_NOW - 9_000)],
        ),
        Ready(status="ready", state="up", broker="up", workers=2, sweepers=1, rate_limits="up", uncounted=0),
    )
}


def example(model: type[BaseModel]) -> object:
    """The example of a model, as JSON."""
    # What a client may send and need not, is left out.
    asked = model.model_config.get("extra") == "forbid"
    return EXAMPLES[model].model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=asked)
