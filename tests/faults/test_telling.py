"""What webhooks did not tell, told twice, or made up is found."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from standardwebhooks import Webhook

from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.store import Store
from tests.faults.record import Job, Record
from tests.faults.telling import compare
from tests.receiver import Post

SECRET = "whsec_" + "A" * 32


def post(id_: str, type_: str, *, secret: str = SECRET, **data: Any) -> Post:
    body = orjson.dumps({"type": type_, "timestamp": "2026-01-01T00:00:00.000Z", "data": data}).decode()
    now = datetime.now(UTC)
    headers = {"webhook-id": id_, "webhook-timestamp": str(int(now.timestamp()))}
    return Post("/", {**headers, "webhook-signature": Webhook(secret).sign(id_, now, body)}, body.encode())


@dataclass
class Sale:
    """A seat that was reserved, another whose hold was released, and a job that failed."""

    store: Store
    record: Record
    posts: list[Post]
    event: str

    def found(self, *more: Post, without: int | None = None) -> tuple[list[str], list[str]]:
        posts = [each for number, each in enumerate(self.posts) if number != without]
        return compare(self.store, self.record, {self.event: SECRET}, [*posts, *more])


@pytest.fixture
def sale(store: Store, event: Event, user: str) -> Sale:
    seats, record = store.seats, Record({event.id: event.total_seats}, [user], 6, 600_000, 3_600_000)
    one, two = SeatId(event.id, 1), SeatId(event.id, 2)
    for seat in (one, two):
        job_id = JobId.new(event.id)
        seats.accept_hold([seat], user, job_id)
        seats.hold(seat, user, job_id)
    job_id = JobId.new(event.id)
    seats.accept_reserve([one], user, job_id)
    seats.reserve(one, user, job_id)
    seats.release([two], user)
    actor, failed = seats._actor(event.id, user), str(JobId.new(event.id))
    record.jobs[failed] = Job(failed, "hold", (str(two),), user, 0, outcome="failed")
    told = [
        post("a", "seat.reserved", event=event.id, seat=str(one), sequence=3, actor=actor),
        post("b", "seat.released", event=event.id, seat=str(two), sequence=4, actor=actor),
        post("c", "job.failed", event=event.id, seat=str(two), jobId=failed),
    ]
    return Sale(store, record, told, event.id)


def test_nothing_is_wrong_with_all_that_happened(sale: Sale) -> None:
    """In any order, and twice under one id."""
    assert sale.found(*reversed(sale.posts)) == ([], [])


@pytest.mark.parametrize("number", range(3))
def test_what_was_not_told_is_missing(sale: Sale, number: int) -> None:
    wrong, missing = sale.found(without=number)
    assert not wrong
    assert len(missing) == 1


def test_what_is_wrong_is_found(sale: Sale) -> None:
    """Made up, under two ids, not the same the second time, by nobody who has the secret; a job that did not fail."""
    job = str(JobId.new(sale.event))
    sale.record.jobs[job] = Job(job, "hold", (), str(uuid4()), 0, outcome="held")
    other = sale.posts[0].json["data"]
    for wrong in (
        post("d", "seat.expired", event=sale.event, seat=f"{sale.event}-1", sequence=5),
        post("d", "seat.reserved", **other),
        post("a", "seat.reserved", **other | {"actor": "another"}),
        post("a", "seat.reserved", secret="whsec_" + "B" * 32, **other),
        post("d", "job.failed", event=sale.event, seat=f"{sale.event}-1", jobId=job),
    ):
        assert len(sale.found(wrong)[0]) == 1, wrong
