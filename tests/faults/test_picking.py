"""What clients note of the best seats, which they learn of by their job."""

from typing import Any

import pytest

from tests.faults.api import Answer, Unexpected
from tests.faults.client import LATE_MS, _Wished
from tests.faults.history import Op
from tests.faults.picking import Wish
from tests.faults.record import Job, Record
from tests.faults.test_load import EVENT, GROUP, JOB, MAYBE, NO_ANSWER, SECOND, THIRD, USER, client, completed, job, ops

ACCEPTED = Answer(120, 125, 202, {"jobId": JOB})
PAIR = SECOND, THIRD


@pytest.fixture
def record() -> Record:
    return Record({EVENT: 12}, [USER], max_held=3, hold_ms=2_000, max_hold_ms=3_000)


def held(at: int, *seats: str) -> Answer:
    """By a job that had picked others first."""
    ends = [{"id": seat, "expiresAt": at + 2_000} for seat in seats]
    return completed(at, GROUP[: len(seats)], success=True, message="On hold for you.", seats=ends)


def refusal(at: int, slug: str, **more: Any) -> Answer:
    return Answer(at, at + 5, 409, {"type": f"/problems/{slug}", **more})


def wished(quantity: int = 2, adjacent: str = "required") -> _Wished:
    return _Wished(True, Wish(EVENT, quantity, adjacent, USER, "a key"))  # type: ignore[arg-type]  # one of the two


@pytest.mark.parametrize("unanswered", [(), (MAYBE,), (NO_ANSWER, MAYBE)])
def test_the_seats_are_those_that_the_job_held(record: Record, unanswered: tuple[Answer, ...]) -> None:
    """Whichever it had picked first, and however often it was asked for."""
    buyer = client(record, *unanswered, ACCEPTED, job(128, data={"seatIds": GROUP[:2]}), held(130, *PAIR))
    asked = wished()
    looks = [buyer._is_wish_done(asked) for _ in range(len(unanswered) + 3)]
    assert looks == [False] * (len(unanswered) + 2) + [True]
    called = 100 if unanswered else 120
    assert record.jobs == {JOB: Job(JOB, "best", PAIR, USER, 110, 15_110, 130, 130, "held")}
    assert ops(record) == [
        Op("hold", seat, USER, called, 130, "held", expires_at=2_130, job=JOB, at_ms=130, seats=2) for seat in PAIR
    ]
    assert buyer._holds == dict.fromkeys(PAIR, 2_130)


def test_a_refusal_is_no_operation_on_any_seat(record: Record) -> None:
    """Neither at once nor by the job."""
    at_once = refusal(100, "no-seats-together", largestBlock=1, free=5)
    by_job = completed(130, GROUP, success=False, error="too-few-seats", largestBlock=1, free=1)
    failed = job(140, status="failed", completedAt=140, result={"success": False, "error": "deadline-exceeded"})
    buyer = client(record, at_once, ACCEPTED, by_job, Answer(*ACCEPTED[:3], {"jobId": f"{JOB}x"}), failed)
    assert buyer._is_wish_done(wished())
    for _ in range(2):
        asked = wished()
        assert [buyer._is_wish_done(asked), buyer._is_wish_done(asked)] == [False, True]
    assert [each.outcome for each in record.jobs.values()] == ["too-few-seats", "failed"]
    assert not ops(record)


def test_a_refusal_is_none_while_an_earlier_request_may_still_arrive(record: Record) -> None:
    """What is refused is not remembered for every reason."""
    early, late = (refusal(at, "limit-reached") for at in (100 + LATE_MS, 101 + LATE_MS))
    buyer = client(record, NO_ANSWER, early, late)
    asked = wished()
    assert [buyer._is_wish_done(asked) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (wished(), refusal(100, "no-seats-together", largestBlock=2, free=5)),
        (wished(adjacent="preferred"), refusal(100, "no-seats-together", largestBlock=1, free=5)),
        (wished(), refusal(100, "too-few-seats", largestBlock=1, free=2)),
        (wished(), refusal(100, "seat-held")),
        (wished(), held(130, SECOND)),
        (wished(), held(130, GROUP[0], THIRD)),
        (wished(), completed(130, PAIR, success=False, error="no-seats-together", largestBlock=3, free=5)),
    ],
)
def test_what_cannot_be_is_noticed(record: Record, asked: _Wished, answer: Answer) -> None:
    """A refusal that its own figures contradict; too few seats, and not together."""
    buyer = client(record, answer)
    asked.wish.job = Job(JOB, "best", (), USER, 110) if answer.status == 200 else None
    with pytest.raises(Unexpected):
        buyer._is_wish_done(asked)
