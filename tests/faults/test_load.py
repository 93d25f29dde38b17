"""What clients note of answers that leave something open."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from tests.faults.api import Answer, Api, Turn, Unexpected
from tests.faults.client import LATE_MS, Client, Sale
from tests.faults.history import Op
from tests.faults.record import Call, CallKind, Job, Record

EVENT, USER = "k3v9x2m7qa", "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
JOB = f"{EVENT}-4m0s8y2k1c7r5t9w3x6z0b8d2"
GROUP = SEAT, SECOND, THIRD = f"{EVENT}-1", f"{EVENT}-2", f"{EVENT}-3"
DEADLINE_MS = 15_000
NO_ANSWER, REFUSED = Answer(100, 3100, 0, {}), Answer(100, 100, 0, {}, sent=False)
MAYBE = Answer(100, 600, 503, {"type": "/problems/state-unavailable", "jobId": JOB})
NOT_SENT = Answer(100, 600, 503, {"type": "/problems/state-unavailable"})


class Canned(Api):
    """Gives the answers that it was given."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.unserved = False

    def post(
        self, kind: str, seats: Sequence[str], request_id: str, admission: str = "", turn: Turn | None = None
    ) -> Answer:
        return self.answers.pop(0)

    def ask(self, kind: str, path: str, body: object, key: str = "", admission: str = "") -> Answer:
        return self.answers.pop(0)

    def get(self, kind: str, path: str) -> Answer:
        return self.answers.pop(0)


def job(at: int, **said: Any) -> Answer:
    """The answer to a look at the job at this time: a reserve by default, accepted at 110."""
    about = {"data": {"seatIds": [SEAT]}, "createdAt": 110, "deadline": 15_110}
    return Answer(at, at, 200, {"status": "waiting", **about, **said})


def completed(at: int, named: Sequence[str], **result: Any) -> Answer:
    return job(at, status="completed", completedAt=at, data={"seatIds": named}, result=result)


def reserved(at: int, *seats: str) -> Answer:
    named = seats or (SEAT,)
    return completed(at, named, success=True, message="Reserved for you.", seats=[{"id": seat} for seat in named])


@pytest.fixture
def record() -> Record:
    return Record({EVENT: 12}, [USER], max_held=3, hold_ms=2_000, max_hold_ms=3_000)


def client(record: Record, *answers: Answer) -> Client:
    sale = Sale(record, deadline_ms=DEADLINE_MS, last_s=15, hot=6, think_s=0.01)
    return Client(sale, Canned(*answers), USER, Random(1))  # noqa: S311 - guesses nobody's secret


def ops(record: Record) -> list[Op]:
    return [op for seat in record.history.by_seat().values() for op in seat]


def test_no_answer_may_have_had_an_effect_for_a_while(record: Record) -> None:
    """A change for as long as it may be on its way; a job until its deadline after that."""
    buyer = client(record, NO_ANSWER, NO_ANSWER, NO_ANSWER)
    buyer._change("refresh", (SEAT,))
    buyer._request("hold", (SEAT,))
    buyer._request("reserve", (SEAT,))
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
    buyer._change("release", (SEAT,))
    buyer._request("hold", (SEAT,))
    buyer._request("reserve", (SEAT,))
    assert not ops(record)


def test_a_doubtful_job_that_is_there_is_followed(record: Record) -> None:
    """As if it had been accepted with a 202, which came when the job was first seen."""
    buyer = client(record, MAYBE, job(700), reserved(800))
    buyer._request("reserve", (SEAT,))
    (followed,) = buyer._following
    assert not buyer._is_done(followed)
    assert buyer._is_done(followed)
    record.label_pins()
    assert record.jobs[JOB] == Job(JOB, "reserve", (SEAT,), USER, 110, 15_110, 800, 800, "reserved")
    assert ops(record) == [
        Op("pin", SEAT, USER, 100, 700, "let-in", reserving_until=15_110, job=JOB, at_ms=110),
        Op("reserve", SEAT, USER, 100, 800, "reserved", job=JOB, at_ms=800),
    ]


@pytest.mark.parametrize("not_before", [800, 801])
def test_a_job_that_is_carried_out_before_its_time_is_noticed(record: Record, not_before: int) -> None:
    """By the service's own clock."""
    early = reserved(800)
    buyer = client(record, MAYBE, early._replace(body={**early.body, "notBefore": not_before}))
    buyer._request("reserve", (SEAT,))
    (followed,) = buyer._following
    if not_before == 800:
        assert buyer._is_done(followed)
    else:
        with pytest.raises(Unexpected):
            buyer._is_done(followed)


def test_a_doubtful_job_that_is_not_there_stays_unknown(record: Record) -> None:
    """Once it cannot come any more, nobody looks for it, and it cannot have an effect either."""
    early, late = (Answer(at, at, 404, {"type": "/problems/not-found"}) for at in (100 + LATE_MS, 101 + LATE_MS))
    buyer = client(record, MAYBE, early, late)
    buyer._request("hold", (SEAT,))
    (followed,) = buyer._following
    assert not buyer._is_done(followed)
    assert buyer._is_done(followed)
    assert ops(record) == [Op("hold", SEAT, USER, 100, until_ms=101 + LATE_MS, job=JOB)]
    assert not record.jobs


def test_too_much_for_later_says_nothing_of_the_seats(record: Record) -> None:
    """Somebody may have them, and somebody has not looked."""
    refused = Answer(100, 110, 409, {"type": "/problems/limit-reached", "requested": 1})
    client(record, refused)._request("hold", (SEAT,), {"priority": "standard", "notBefore": 2_000})
    assert not ops(record)
    client(record, refused)._request("hold", (SEAT,))
    assert [op.outcome for op in ops(record)] == ["limit-reached"]


@pytest.mark.parametrize("first", [100, 120])
def test_of_two_answers_with_one_job_the_one_that_made_it_has_its_time(record: Record, first: int) -> None:
    """That is the one under way when the job was made, whichever was answered first. There is one verdict."""
    for at in (first, 220 - first):
        buyer = client(record, Answer(at, at + 15, 202, {"jobId": JOB}), reserved(130))
        buyer._request("reserve", (SEAT,))
        for followed in buyer._following:
            buyer._is_done(followed)
    record.label_pins()
    told = {(op.kind, op.call_ms, op.outcome, op.at_ms) for op in ops(record)}
    assert told == {("pin", 100, "let-in", 110), ("pin", 120, "let-in", None), ("reserve", first, "reserved", 130)}


def test_of_a_group_that_is_answered_with_another_job_what_is_not_in_it_was_reserved_already(record: Record) -> None:
    """That job has other seats as well: its verdict is about those it has, not about those that were asked for."""
    buyer = client(record, Answer(100, 115, 202, {"jobId": JOB}), reserved(130, SEAT, THIRD))
    buyer._request("reserve", (SEAT, SECOND))
    assert buyer._is_done(buyer._following[0])
    record.label_pins()
    assert record.jobs[JOB].seats == (SEAT, THIRD)
    assert {(op.kind, op.seat, op.outcome, op.job) for op in ops(record)} == {
        ("pin", SEAT, "let-in", JOB),
        ("pin", SECOND, "accepted", ""),
        ("reserve", SEAT, "reserved-or-had", JOB),
        ("reserve", THIRD, "reserved-or-had", JOB),
    }


def test_a_doubtful_job_that_another_was_told_of_has_one_verdict(record: Record) -> None:
    """The client that was told of it follows it; the other's operation stays unknown."""
    doubtful = client(record, MAYBE, reserved(130))
    doubtful._request("reserve", (SEAT,))
    told = client(record, Answer(120, 125, 202, {"jobId": JOB}), reserved(130))
    told._request("reserve", (SEAT,))
    for buyer in (told, doubtful):
        assert all(buyer._is_done(followed) for followed in buyer._following)
    assert [op.outcome for op in ops(record) if op.kind == "reserve"] == [None, "reserved"]


def against(slug: str, found: dict[str, str], **more: Any) -> dict[str, Any]:
    """A problem; and, with `error` for `type`, a verdict."""
    conflicts = [{"seatId": seat, "status": status} for seat, status in found.items()]
    return {"type": f"/problems/{slug}", "error": slug, "success": False, "conflicts": conflicts, **more}


@pytest.mark.parametrize(
    ("kind", "problem", "told"),
    [
        ("hold", against("seat-held", {SECOND: "On hold"}), ("spared", "seat-held", "spared")),
        (
            "hold",
            against("seat-reserved", {SEAT: "On hold", THIRD: "Reserved"}),
            ("seat-held", "spared", "seat-reserved"),
        ),
        ("hold", against("limit-reached", {}, requested=3), ("limit-reached",) * 3),
        ("hold", against("limit-reached", {}, requested=2), ("spared",) * 3),
        (
            "reserve",
            against("not-on-hold", {SEAT: "Available", THIRD: "On hold"}),
            ("not-on-hold", "spared", "not-holder"),
        ),
        ("reserve", against("reserve-pending", {THIRD: "On hold"}), ("spared", "spared", "reserve-pending")),
        (
            "refresh",
            against("reserve-pending", {SEAT: "On hold", SECOND: "On hold", THIRD: "Available"}),
            ("reserve-pending", "in-the-way", "not-on-hold"),
        ),
        (
            "refresh",
            against("seat-reserved", {SEAT: "On hold", SECOND: "Reserved"}),
            ("in-the-way", "seat-reserved", "spared"),
        ),
        ("refresh", against("hold-ceiling", {SEAT: "On hold"}), ("hold-ceiling", "spared", "spared")),
        ("release", against("not-holder", {THIRD: "On hold"}), ("spared", "spared", "not-holder")),
        (
            "cancel",
            against("not-reserved", {SEAT: "Available", SECOND: "On hold", THIRD: "Reserved"}),
            ("not-reserved", "not-reserved", "not-owner"),
        ),
    ],
)
def test_a_refusal_of_a_group_says_something_of_each_seat(
    record: Record, kind: str, problem: dict[str, Any], told: tuple[str, ...]
) -> None:
    """Of those in the way why, and of the others that nothing was in their way."""
    buyer = client(record, Answer(100, 105, 409, problem))
    if kind in ("hold", "reserve"):
        buyer._request(kind, GROUP)  # type: ignore[arg-type]  # mypy does not see that the other kinds are gone
    else:
        buyer._change(kind, GROUP)  # type: ignore[arg-type]  # nor here
    assert tuple(op.outcome for op in ops(record)) == told
    assert {op.seats for op in ops(record)} == {3}


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("refresh", against("not-holder", {})),
        ("refresh", against("not-holder", {f"{EVENT}-9": "On hold"})),
        ("refresh", against("not-holder", {SEAT: "Available"})),
        ("refresh", against("not-holder", {SEAT: "On hold", SECOND: "Reserved"})),
        ("refresh", against("seat-reserved", {SEAT: "On hold"})),
        ("refresh", against("not-holder", {SECOND: "On hold", SEAT: "On hold"})),
        ("release", against("not-on-hold", {SEAT: "Available"})),
        ("cancel", against("not-reserved", {SEAT: "Reserved"})),
    ],
)
def test_a_refusal_that_contradicts_itself_is_noticed(record: Record, kind: CallKind, problem: dict[str, Any]) -> None:
    """Nothing in the way, a seat that was not asked for, a type that is not that of the first in the way (or of one
    that stays), another order."""
    with pytest.raises(Unexpected):
        client(record, Answer(100, 105, 409, problem))._change(kind, GROUP)


def test_a_verdict_on_a_group_says_something_of_each_seat(record: Record) -> None:
    """Held of now, or already; against it as in a refusal."""
    ends = [{"id": SEAT, "expiresAt": 2_130}, {"id": SECOND, "expiresAt": 2_000}, {"id": THIRD, "expiresAt": 2_130}]
    held = completed(130, GROUP, success=True, message="On hold for you.", seats=ends)
    refused = completed(140, GROUP, **against("seat-held", {SECOND: "On hold"}))
    for job_id, verdict in ((JOB, held), (f"{JOB}x", refused)):
        buyer = client(record, Answer(100, 105, 202, {"jobId": job_id}), verdict)
        buyer._request("hold", GROUP)
        assert buyer._is_done(buyer._following[0])
    assert [(op.outcome, op.expires_at) for op in ops(record)] == [
        *(("held-or-had", 2_130), ("spared", None)),
        *(("held-already", 2_000), ("seat-held", None)),
        *(("held-or-had", 2_130), ("spared", None)),
    ]


def test_a_seat_is_for_sale_again_once_it_is_cancelled(record: Record) -> None:
    """For as long as it is sold, others are wanted instead; and no more are sold at a time than there is time for."""
    buyer = client(record, Answer(100, 105, 202, {"jobId": JOB}), reserved(130), Answer(140, 150, 204, {}))
    sale = buyer._sale
    buyer._request("reserve", (SEAT,))
    buyer._is_done(buyer._following[0])
    assert SEAT not in sale.wanted(EVENT)
    buyer._change("cancel", (SEAT,))
    assert SEAT in sale.wanted(EVENT)
    (call,) = record.calls.values()
    assert call == Call("cancel", (SEAT,), USER, "cancelled")


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
            str(number), "hold", (SEAT,), USER, accepted, accepted + DEADLINE_MS, completed, seen, outcome
        )
    assert record.first_verdict_after(200) == 330
    assert record.first_verdict_after(311) is None
    assert record.all_ended_after(200) == 400
    assert record.all_ended_after(501) is None
