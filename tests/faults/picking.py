"""Asking for the best seats: which they are is known once they are on hold."""

from dataclasses import dataclass
from typing import Any

from reservation.fields import Adjacent
from tests.faults.api import Answer, Unexpected
from tests.faults.history import Op
from tests.faults.record import Job, Record

_AGAINST = {"no-seats-together", "too-few-seats", "limit-reached"}


@dataclass
class Wish:
    """A request for the best seats, and what became of it.

    Nobody can say which seats one did something to that was not answered. So it has a key, with which it is sent until
    there is an answer: it is done once, and what it did is what its job says.

    Attributes:
        call_ms: when it was sent first, epoch ms.
        doubted_ms: when it was last sent without an answer.
        job: once it is known that it was accepted.
    """

    event_id: str
    quantity: int
    adjacent: Adjacent
    user: str
    key: str
    call_ms: int = 0
    doubted_ms: int = 0
    job: Job | None = None

    @property
    def body(self) -> dict[str, Any]:
        wish = {"eventId": self.event_id, "quantity": self.quantity, "adjacent": self.adjacent}
        return {**wish, "UUID": self.user}

    def is_refused(self, answer: Answer, late_ms: int) -> bool:
        """Takes an answer to the request; returns whether nothing comes of it.

        Arguments:
            late_ms: how long one that was not answered may still be on its way.
        """
        self.call_ms = self.call_ms or answer.call_ms
        if answer.status == 202:
            self.job = Job(answer.body["jobId"], "best", (), self.user, answer.return_ms)
        elif answer.unknown:
            self.doubted_ms = answer.call_ms
        elif answer.status:
            _check(self, answer.slug, answer.body)
            return answer.call_ms > self.doubted_ms + late_ms or not self.doubted_ms
        return False

    def learn(self, job: Job, record: Record, answer: Answer) -> dict[str, int]:
        """Takes a look at the job; returns the ends of the holds, epoch ms, once they are made. Raises Unexpected."""
        said = answer.body
        job.accepted_ms, job.deadline_ms = said["createdAt"], said["deadline"]
        job.seats = tuple(said["data"]["seatIds"])
        if said["status"] not in ("completed", "failed"):
            return {}
        result = said["result"]
        job.completed_ms, job.seen_ms = said["completedAt"], answer.return_ms
        if not result["success"]:
            job.outcome = "failed" if said["status"] == "failed" else str(result["error"])
            if job.outcome != "failed":
                _check(self, job.outcome, result)
            return {}
        job.outcome = "held"
        ends = {seat["id"]: int(seat["expiresAt"]) for seat in result["seats"]}
        numbers = sorted(int(seat.partition("-")[2]) for seat in ends)
        apart = numbers[-1] - numbers[0] + 1 != self.quantity
        if len(ends) != self.quantity or (apart and self.adjacent == "required"):
            raise Unexpected(f"{self} got {list(ends)}")
        job.seats = tuple(ends)
        for seat, expires_at in ends.items():
            op = Op("hold", seat, self.user, self.call_ms, answer.return_ms, "held", seats=self.quantity)
            op.expires_at, op.job, op.at_ms = expires_at, job.id, job.completed_ms
            record.history.add(op)
        return ends


def _check(wish: Wish, slug: str, told: dict[str, Any]) -> None:
    """Raises Unexpected for a refusal that is none of such a request's, or by its own figures is wrong."""
    wrong = (
        (slug == "too-few-seats" and told["free"] >= wish.quantity)
        or (slug == "no-seats-together" and told["largestBlock"] >= wish.quantity)
        or (slug == "no-seats-together" and wish.adjacent != "required")
    )
    if slug not in _AGAINST or wrong:
        raise Unexpected(f"{wish} is refused: {slug}, {told}")
