"""That the checks of a crowd find what they are there for."""

import random

import pytest

from tests.crowd.checks import check_order, check_rate, check_shuffle


def test_one_too_many_in_a_stretch_of_time_is_found() -> None:
    """At 60 a minute: even ones pass, after a pause too; a second one within a second does not."""
    check_rate([0, 1_000, 2_000, 9_000, 10_000], 60)
    for slots in ([0, 998], [0, 1_000, 1_998], [0, 1_000, 9_000, 9_500]):
        with pytest.raises(AssertionError, match="too many"):
            check_rate(slots, 60)


def test_a_later_one_who_comes_first_is_found() -> None:
    """Of two who ask at the same time, either may be first."""
    check_order([(0, 1, 10), (2, 3, 20), (2.5, 3.5, 15)])
    with pytest.raises(AssertionError, match="came first"):
        check_order([(0, 1, 20), (2, 3, 10)])


@pytest.mark.parametrize("count", [120, 6_000])
def test_an_order_that_is_not_shuffled_is_found(count: int) -> None:
    """As they came, the other way round, in halves that were shuffled each by itself, and cut like a deck of cards."""
    chance = random.Random(7)  # noqa: S311 - hides nothing
    shuffled = list(range(count))
    chance.shuffle(shuffled)
    check_shuffle(shuffled)
    halves = chance.sample(range(count // 2), count // 2) + chance.sample(range(count // 2, count), count // 2)
    in_order = list(range(count))
    for slots in (in_order, in_order[::-1], halves, in_order[count // 2 :] + in_order[: count // 2]):
        with pytest.raises(AssertionError, match="not shuffled"):
            check_shuffle(slots)
