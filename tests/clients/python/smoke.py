"""What a program does with a generated client: creates an event, holds a seat, follows the job, reserves, is refused.

Its types are checked strictly, and it runs against a service.
"""

import os
import uuid

from generated import AuthenticatedClient
from generated.api.events import create_event
from generated.api.jobs import get_job
from generated.api.seats import hold_seat, reserve_seat
from generated.models import (
    Event,
    HoldingById,
    HoldingByIds,
    Job,
    JobStatus,
    NewEventByTotalSeats,
    Problem,
    QueueResponse,
    ReservingById,
    SeatStatus,
)

me = AuthenticatedClient(os.environ["API"], token=os.environ["TOKEN"])
other = AuthenticatedClient(os.environ["API"], token=os.environ["OTHER_TOKEN"])


def ended(answer: Job | QueueResponse | Problem | None) -> Job:
    """The job, once it has a result."""
    assert isinstance(answer, Job | QueueResponse), answer
    job_id = answer.job_id if isinstance(answer, QueueResponse) else answer.id
    while True:
        job = get_job.sync(job_id, client=me, wait=10)
        assert isinstance(job, Job), job
        if job.status in (JobStatus.COMPLETED, JobStatus.FAILED):
            return job


event = create_event.sync(client=me, body=NewEventByTotalSeats(name="Opening night", total_seats=20))
assert isinstance(event, Event), event
seat_id = f"{event.id}-1"

held = ended(hold_seat.sync(client=me, body=HoldingById(id=seat_id)))
assert held.result
assert held.result.seats
assert held.result.seats[0].status is SeatStatus.ON_HOLD

taken = hold_seat.sync(client=other, body=HoldingByIds(ids=[seat_id, f"{event.id}-2"]))
assert isinstance(taken, Problem), taken
assert taken.type_ == "/problems/seat-held"
assert taken.conflicts
assert (taken.conflicts[0].seat_id, taken.conflicts[0].status) == (seat_id, SeatStatus.ON_HOLD)

order = ReservingById(id=seat_id, reference="order 4711")
done = ended(reserve_seat.sync(client=me, body=order, prefer="wait=10", idempotency_key=str(uuid.uuid4())))
assert done.result
assert done.result.seat
assert done.result.seat.reference == "order 4711"
print(done.result.seat.status)
