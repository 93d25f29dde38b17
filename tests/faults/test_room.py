"""What is wrong with the tickets of a waiting room is found."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.api import Answer, Unexpected
from tests.faults.record import Door, Look, Record
from tests.faults.room import Visitor, turned_away
from tests.faults.test_load import EVENT, SEAT, USER, Canned

OPENS, RATE = 10_000, 60
#: Three that are early, and one that is not; a second apart.
EARLY = [
    look
    for number, user in enumerate("abc")
    for look in (
        Look(EVENT, user, f"t{user}", "early", True, 5_000 + number, None),
        Look(EVENT, user, f"t{user}", "admitted", False, 15_000, 10_000 + 1_000 * number),
    )
]
LATER = [
    Look(EVENT, "d", "td", "waiting", True, 10_500, 13_000),
    Look(EVENT, "d", "td", "admitted", False, 15_000, 13_000),
]


def found(looks: Sequence[Look]) -> list[str]:
    return list(turned_away(Record({EVENT: 12}, [], 3, 2_000, 3_000, {EVENT: Door(OPENS, RATE)}, list(looks))))


def test_nothing_is_wrong_with_a_queue_that_moves_on() -> None:
    """Nor with an answer that was lost, of which nobody knows when the ticket was drawn."""
    assert not found([*EARLY, *LATER])
    assert not found([*EARLY[1:], *LATER])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda looks: looks[:-1], "was last told waiting"),
        (lambda looks: [*looks, looks[0]._replace(ticket="other")], "has several tickets"),
        (lambda looks: [*looks, looks[1]._replace(admitted_ms=14_000)], "admitted at [10000, 14000]"),
        (
            lambda looks: [look._replace(ticket="tb") if look.user == "a" else look for look in looks],
            "is of ['a', 'b']",
        ),
        (lambda looks: [*looks, looks[-1]._replace(server_ms=12_998)], "before 13000"),
        (lambda looks: [_moved(look, "a", 9_000) for look in looks], "before it opens"),
        (lambda looks: [_moved(look, "a", 10_500) for look in looks], "too many by"),
        (lambda looks: [_moved(look, "d", 14_000) for look in _moved_all(looks, "c", 15_000)], "a later one"),
    ],
)
def test_what_is_wrong_is_found(wrong: Callable[[list[Look]], list[Look]], says: str) -> None:
    """One who is never let in; two tickets, two slots, one of two users; too early, too fast, out of order."""
    assert any(says in text for text in found(wrong([*EARLY, *LATER])))


def _moved(look: Look, user: str, admitted_ms: int) -> Look:
    return look._replace(admitted_ms=admitted_ms) if look.user == user and look.admitted_ms else look


def _moved_all(looks: Sequence[Look], user: str, admitted_ms: int) -> list[Look]:
    return [_moved(look, user, admitted_ms) for look in looks]


def test_a_visitor_has_what_the_answers_say() -> None:
    """A ticket, though the first answer is lost, and then an admission."""
    told = {"event": EVENT, "ticket": "t", "statusEndpoint": "/there", "serverTime": 10_001, "admittedAt": 10_000}
    admitted = told | {"status": "admitted", "admission": "token"}
    answers = [Answer(1, 2, 0, {}), Answer(3, 4, 200, told | {"status": "waiting"}), Answer(5, 6, 200, admitted)]
    record = Record({EVENT: 12}, [], 3, 2_000, 3_000)
    visitor = Visitor(record, Canned(*answers), EVENT, USER)
    for _ in answers:
        assert not visitor.admission
        visitor.knock()
    assert visitor.admission == "token"
    assert [(look.status, look.drawn) for look in record.looks] == [("waiting", False), ("admitted", False)]


def test_who_is_let_in_without_an_admission_is_noticed() -> None:
    """By the load, at once."""
    visitor = Visitor(Record({EVENT: 12}, [], 3, 2_000, 3_000), Canned(Answer(1, 2, 202, {})), EVENT, USER)
    with pytest.raises(Unexpected):
        visitor.push(SEAT)
