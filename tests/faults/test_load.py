"""What clients note of answers that leave something open."""

from random import Random
from typing import Any

import pytest

from tests.faults.api import Answer, Api
from tests.faults.client import LATE_MS, Client, Sale
from tests.faults.history import Op
from tests.faults.record import Job, Record

EVENT, USER = "k3v9x2m7qa", "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
SEAT, JOB = f"{EVENT}-1", f"{EVENT}-4m0s8y2k1c7r5t9w3x6z0b8d2"
DEADLINE_MS = 15_000
NO_ANSWER, REFUSED = Answer(100, 3100, 0, {}), Answer(100, 100, 0, {}, sent=False)
MAYBE = Answer(100, 600, 503, {"type": "/problems/state-unavailable", "jobId": JOB})
NOT_SENT = Answer(100, 600, 503, {"type": "/problems/state-unavailable"})


class Canned(Api):
    """Gives the answers that it was given."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.unserved = False

    def post(self, kind: str, seat: str) -> Answer:
        return self.answers.pop(0)

    def get(self, kind: str, path: str) -> Answer:
        return self.answers.pop(0)


def job(at: int, **said: Any) -> Answer:
    """The answer to a look at the job at this time: a reserve by default, accepted at 110."""
    return Answer(at, at, 200, {"status": "waiting", "createdAt": 110, "deadline": 15_110, **said})


def reserved(at: int) -> Answer:
    result = {"success": True, "message": "The seat is reserved for you.", "seat": {"id": SEAT}}
    return job(at, status="completed", completedAt=at, result=result)


@pytest.fixture
def record() -> Record:
    return Record({EVENT: 12}, [USER], max_held=3, hold_ms=2_000)


def client(record: Record, *answers: Answer) -> Client:
    sale = Sale(record, deadline_ms=DEADLINE_MS, last_s=15, hot=6, think_s=0.01)
    return Client(sale, Canned(*answers), USER, Random(1))  # noqa: S311 - guesses nobody's secret


def ops(record: Record) -> list[Op]:
    return [op for seat in record.history.by_seat().values() for op in seat]


def test_no_answer_may_have_had_an_effect_for_a_while(record: Record) -> None:
    """A change for as long as it may be on its way; a job until its deadline after that."""
    buyer = client(record, NO_ANSWER, NO_ANSWER, NO_ANSWER)
    buyer._change("refresh", SEAT)
    buyer._request("hold", SEAT)
    buyer._request("reserve", SEAT)
    late, later = 100 + LATE_MS, 100 + LATE_MS + DEADLINE_MS
    assert {(op.kind, op.outcome, op.return_ms, op.until_ms) for op in ops(record)} == {
        ("refresh", None, None, late),
        ("hold", None, None, later),
        ("pin", None, None, late),
        ("reserve", None, None, later),
    }
    assert not record.jobs


def test_what_cannot_have_had_an_effect_is_not_noted(record: Record) -> None:
    """No connection; and a 503 for a job that names none."""
    buyer = client(record, REFUSED, REFUSED, NOT_SENT)
    buyer._change("release", SEAT)
    buyer._request("hold", SEAT)
    buyer._request("reserve", SEAT)
    assert not ops(record)


def test_a_doubtful_job_that_is_there_is_followed(record: Record) -> None:
    """As if it had been accepted with a 202, which came when the job was first seen."""
    buyer = client(record, MAYBE, job(700), reserved(800))
    buyer._request("reserve", SEAT)
    (followed,) = buyer._following
    assert not buyer._is_done(followed)
    assert buyer._is_done(followed)
    record.label_pins()
    assert record.jobs[JOB] == Job(JOB, "reserve", SEAT, USER, 110, 15_110, 800, 800, "reserved")
    assert ops(record) == [
        Op("pin", SEAT, USER, 100, 700, "pinned", reserving_until=15_110, job=JOB, at_ms=110),
        Op("reserve", SEAT, USER, 100, 800, "reserved", job=JOB, at_ms=800),
    ]


def test_a_doubtful_job_that_is_not_there_stays_unknown(record: Record) -> None:
    """Once it cannot come any more, nobody looks for it, and it cannot have an effect either."""
    early, late = (Answer(at, at, 404, {"type": "/problems/not-found"}) for at in (100 + LATE_MS, 101 + LATE_MS))
    buyer = client(record, MAYBE, early, late)
    buyer._request("hold", SEAT)
    (followed,) = buyer._following
    assert not buyer._is_done(followed)
    assert buyer._is_done(followed)
    assert ops(record) == [Op("hold", SEAT, USER, 100, until_ms=101 + LATE_MS, job=JOB)]
    assert not record.jobs


@pytest.mark.parametrize("first", [100, 120])
def test_of_two_answers_with_one_job_the_one_that_made_it_pinned(record: Record, first: int) -> None:
    """That is the one under way when the job was made, whichever was answered first. There is one verdict."""
    for at in (first, 220 - first):
        buyer = client(record, Answer(at, at + 15, 202, {"jobId": JOB}), reserved(130))
        buyer._request("reserve", SEAT)
        for followed in buyer._following:
            buyer._is_done(followed)
    record.label_pins()
    told = {(op.kind, op.call_ms, op.outcome) for op in ops(record)}
    assert told == {("pin", 100, "pinned"), ("pin", 120, "pinned-already"), ("reserve", first, "reserved")}


def test_a_doubtful_job_that_another_was_told_of_has_one_verdict(record: Record) -> None:
    """The client that was told of it follows it; the other's operation stays unknown."""
    doubtful = client(record, MAYBE, reserved(130))
    doubtful._request("reserve", SEAT)
    told = client(record, Answer(120, 125, 202, {"jobId": JOB}), reserved(130))
    told._request("reserve", SEAT)
    for buyer in (told, doubtful):
        assert all(buyer._is_done(followed) for followed in buyer._following)
    assert [op.outcome for op in ops(record) if op.kind == "reserve"] == [None, "reserved"]


def test_the_pin_of_a_failed_job_is_not_guessed(record: Record) -> None:
    """Where the user may have had the seat already, the accept may have pinned nothing."""
    for at, outcome in ((100, "failed"), (50, None)):
        record.history.add(Op("reserve", SEAT, USER, at, outcome=outcome))
    record.jobs[JOB] = Job(JOB, "reserve", SEAT, USER, 110, 15_110, 15_110, 15_200, "failed")
    pin = record.history.add(Op("pin", SEAT, USER, 100, until_ms=120, job=JOB))
    record.add_pin(pin, 120)
    record.label_pins()
    assert pin.outcome is None
    ops(record)[0].outcome = "failed"
    record.label_pins()
    assert pin.outcome == "pinned"


def test_the_times_of_a_recovery(record: Record) -> None:
    """When the first success was seen, and when all that was open had ended."""
    for number, (accepted, completed, seen, outcome) in enumerate(
        [
            (90, 110, 120, "held"),
            (150, 250, 400, "held"),
            (160, 260, 330, "held"),
            (170, 270, 280, "seat-held"),
            (500, None, None, None),
        ]
    ):
        record.jobs[str(number)] = Job(
            str(number), "hold", SEAT, USER, accepted, accepted + DEADLINE_MS, completed, seen, outcome
        )
    assert record.first_verdict_after(200) == 330
    assert record.first_verdict_after(311) is None
    assert record.all_ended_after(200) == 400
    assert record.all_ended_after(501) is None
