"""The best seats: each rule by an example, and all of them against a search through everything."""

from collections.abc import Iterator
from itertools import chain, combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reservation.best import Hall
from reservation.fields import Adjacent
from reservation.models import LayoutRow, LayoutSection


def sections_of(*sections: tuple[int, list[int]]) -> list[LayoutSection]:
    """Sections, each of a rank and the seats of its rows."""
    found: list[LayoutSection] = []
    first = 1
    for rank, counts in sections:
        rows: list[LayoutRow] = []
        for seats in counts:
            rows.append(LayoutRow(name=str(len(rows)), first=first, seats=seats))
            first += seats
        found.append(LayoutSection(name=str(len(found)), rank=rank, rows=rows))
    return found


def pick(hall: str, wanted: int, adjacent: Adjacent = "required", ranks: str = "1111") -> str:
    """What is picked, as a picture.

    Arguments:
        hall: the same before. Rows are separated by blanks, sections by `|`; `.` is a free seat, `#` a taken one, and
            `O`, in the answer, one that was picked.
        ranks: a digit for each section.
    """
    sections = [section.split() for section in hall.split("|")]
    layout = sections_of(*((int(rank), [*map(len, rows)]) for rank, rows in zip(ranks, sections, strict=False)))
    drawn = [*chain.from_iterable(chain.from_iterable(sections))]
    letters = "".join("A" if seat == "." else "R" for seat in drawn)
    for number in Hall(layout).pick(letters, wanted, adjacent):
        assert drawn[number - 1] == ".", "it is taken, or was picked before"
        drawn[number - 1] = "O"
    seat = iter(drawn)
    return "".join(next(seat) if place in ".#" else place for place in hall)


@pytest.mark.parametrize(
    ("hall", "wanted", "picked"),
    [
        ("......... .........", 3, "...OOO... ........."),
        ("......... .........", 1, "....O.... ........."),
        ("..........", 3, "...OOO...."),
        ("####.#### .........", 2, "####.#### ...OO...."),
        ("..###.... .........", 2, "..###OO.. ........."),
        ("#####.... .........", 2, "#####OO.. ........."),
    ],
)
def test_the_best_row_and_there_nearest_its_middle(hall: str, wanted: int, picked: str) -> None:
    """The front row first; of two that are as near, the lower numbers."""
    assert pick(hall, wanted) == picked


@pytest.mark.parametrize(
    ("hall", "ranks", "picked"),
    [
        ("....... | .......", "21", "....... | ..OO..."),
        ("####### ..##### | .......", "12", "####### OO##### | ......."),
        ("...#### | .......", "12", ".OO#### | ......."),
        ("###.### | .......", "12", "###.### | ..OO..."),
    ],
)
def test_the_best_rank_goes_before_everything_else(hall: str, ranks: str, picked: str) -> None:
    """Nobody is given worse seats to spare one that would be left alone."""
    assert pick(hall, 2, ranks=ranks) == picked


@pytest.mark.parametrize(
    ("hall", "picked"),
    [
        ("....... ....... | ....... .......", "..OO... ....... | ....... ......."),
        ("####### ....... | ....... .......", "####### ....... | ..OO... ......."),
        ("..##### ....... | ....... .......", "..##### ....... | ..OO... ......."),
        ("####### ....... | ####### .......", "####### ..OO... | ####### ......."),
    ],
)
def test_sections_of_one_rank_are_equal(hall: str, picked: str) -> None:
    """The first row of one is as good as the first of another."""
    assert pick(hall, 2) == picked


@pytest.mark.parametrize(
    ("hall", "wanted", "picked"),
    [
        ("...####.. .........", 2, "...####OO ........."),
        ("...###### .........", 2, "...###### ...OO...."),
        ("...###### ...######", 2, ".OO###### ...######"),  # it cannot be helped
        (".....####", 3, "..OOO####"),
        ("......###", 2, "....OO###"),
        ("......###", 3, "...OOO###"),
        ("#........", 7, "#OOOOOOO."),  # nor here
        (".#.#.....", 2, ".#.#OO..."),  # those were alone before
    ],
)
def test_no_seat_is_left_alone_if_there_is_another_way(hall: str, wanted: int, picked: str) -> None:
    """In a row further back, if need be."""
    assert pick(hall, wanted) == picked


def test_together_or_not_at_all() -> None:
    """Where that is required."""
    assert pick("..#..#..# ..#..#..#", 3) == "..#..#..# ..#..#..#"


def test_a_row_ends() -> None:
    """The last seat of one is not beside the first of the next."""
    assert pick("####.. ..####", 4) == "####.. ..####"


@pytest.mark.parametrize(
    ("hall", "wanted", "ranks", "picked"),
    [
        ("..#..#..#", 4, "1", "..#OO#OO#"),
        ("..#..#..# ...#..###", 5, "1", "..#..#..# OOO#OO###"),  # three pieces, or two
        ("...#...## | ...#...##", 6, "21", "...#...## | OOO#OOO##"),
        ("..#..#### | ...#...##", 5, "12", "..#..#### | .OO#OOO##"),  # few pieces before the rank
        ("...###### | ...######", 6, "12", "OOO###### | OOO######"),
        ("...###### ######### ...###### ...######", 6, "1", "...###### ######### OOO###### OOO######"),
        ("...###### ...###### ...######", 6, "1", "OOO###### OOO###### ...######"),
        ("...#....#..###", 5, "1", "..O#OOOO#..###"),  # and not one of the two
        ("..#..#..#", 6, "1", "OO#OO#OO#"),
        ("..#..#..#", 7, "1", "..#..#..#"),  # there are not so many
    ],
)
def test_in_pieces(hall: str, wanted: int, ranks: str, picked: str) -> None:
    """Few, of good ranks, near one another, from the front."""
    assert pick(hall, wanted, "preferred", ranks) == picked


def test_pieces_are_for_those_who_cannot_be_seated_together() -> None:
    """A block far back is better."""
    assert pick("...#...## | ######..#### | ....", 4, "preferred", "123") == "...#...## | ######..#### | OOOO"


Halls = st.lists(
    st.tuples(st.integers(1, 2), st.lists(st.integers(1, 6), min_size=1, max_size=3)), min_size=1, max_size=3
)


class Search:
    """Goes through everything that could be picked."""

    def __init__(self, sections: list[LayoutSection], letters: str) -> None:
        self.letters = letters
        #: Rank, place, order, first seat and end of each row.
        self.rows = [
            (section.rank, place, row.first, row.first + row.seats)
            for section in sections
            for place, row in enumerate(section.rows)
        ]

    def alone(self, first: int, end: int, taken: range = range(0)) -> set[int]:
        """Seats of a row that are free, and whose neighbours are not."""
        free = {n for n in range(first, end) if self.letters[n - 1] == "A" and n not in taken}
        return {n for n in free if not free & {n - 1, n + 1}}

    def blocks(self, wanted: int) -> Iterator[tuple[int, bool, int, int, int]]:
        """Every block, by what makes it good."""
        for rank, place, first, end in self.rows:
            for start in range(first, end - wanted + 1):
                if self.letters[start - 1 : start - 1 + wanted] == "A" * wanted:
                    strands = self.alone(first, end, range(start, start + wanted)) - self.alone(first, end)
                    off = abs((start + start + wanted) - (first + end))
                    yield rank, bool(strands), place, off, start

    def runs(self, chosen: set[int] | None = None) -> list[tuple[int, int, int]]:
        """Rank, row and length of each run of free seats, or of those chosen."""
        found = []
        for order, (rank, _, first, end) in enumerate(self.rows):
            here = "".join(
                "A" if self.letters[n - 1] == "A" and (chosen is None or n in chosen) else " "
                for n in range(first, end)
            )
            found += [(rank, order, len(run)) for run in here.split()]
        return found

    def pieces(self, wanted: int) -> tuple[int, int, int, int]:
        """The best that pieces can be: how many, the worst rank, how far apart their rows, the first row."""
        runs = self.runs()
        return min(
            _goodness(chosen)
            for pieces in range(1, wanted + 1)
            for chosen in combinations(runs, pieces)
            if sum(seats for _, _, seats in chosen) >= wanted
        )


def _goodness(runs: tuple[tuple[int, int, int], ...]) -> tuple[int, int, int, int]:
    ranks, rows, _ = zip(*runs, strict=True)
    return len(runs), max(ranks), max(rows) - min(rows), min(rows)


@given(Halls, st.integers(1, 6), st.data())
def test_the_best_block_of_all(layout: list[tuple[int, list[int]]], wanted: int, data: st.DataObject) -> None:
    """None goes before it."""
    sections = sections_of(*layout)
    total = sum(sum(seats) for _, seats in layout)
    letters = data.draw(st.text("AAAHR", min_size=total, max_size=total))
    hall, search = Hall(sections), Search(sections, letters)
    best = min(search.blocks(wanted), default=None)
    expected = [] if best is None else [*range(best[-1], best[-1] + wanted)]
    assert hall.pick(letters, wanted, "required") == expected
    if expected:
        assert hall.pick(letters, wanted, "preferred") == expected
    assert hall.largest_block(letters) == max((seats for _, _, seats in search.runs()), default=0)


@given(Halls, st.integers(2, 6), st.data())
def test_the_best_pieces_of_all(layout: list[tuple[int, list[int]]], wanted: int, data: st.DataObject) -> None:
    """Where there is no block: as many seats, free, and none that are in fewer pieces, of better ranks, or nearer."""
    sections = sections_of(*layout)
    total = sum(sum(seats) for _, seats in layout)
    letters = data.draw(st.text("AAR", min_size=total, max_size=total))
    hall, search = Hall(sections), Search(sections, letters)
    assume(not hall.pick(letters, wanted, "required"))
    seats = hall.pick(letters, wanted, "preferred")
    if letters.count("A") < wanted:
        assert seats == []
        return
    assert len(set(seats)) == wanted == len(seats)
    assert {letters[number - 1] for number in seats} == {"A"}
    assert _goodness(tuple(search.runs(set(seats)))) == search.pieces(wanted)
