"""Which free seats are the best for a group. Only a choice: whether they can be had, a script decides.

A block, seats next to one another in a row, is the better
1. the better its section's rank is;
2. if it strands no seat: leaves none alone that is free, between the row's ends or seats that are taken;
3. the better its row is, in the order of its section's rows;
4. the nearer its middle is to the row's;
5. the lower its numbers are.

Where no row has one that is long enough, and pieces will do, these are as few as possible; of those, in sections of the
best ranks; of those, in rows nearest one another, as seats are numbered, and so from the front.

All of it is linear in the seats, and most of that is done by `re` and `str`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from reservation.fields import Adjacent
from reservation.models import LayoutSection

#: How a seat map says that a seat is free.
_FREE = "A"
_stretches = re.compile(f"{_FREE}+").finditer


class Row(NamedTuple):
    """A row of a hall.

    Attributes:
        rank: its section's; 1 is best.
        place: in its section; 0 is best.
        order: in the hall, as seats are numbered.
        first: number of its first seat.
        seats: how many it has.
    """

    rank: int
    place: int
    order: int
    first: int
    seats: int

    def free(self, letters: str, least: int = 1) -> Iterator["Run"]:
        """Its free seats.

        Arguments:
            letters: of all seats, as in a seat map.
            least: in runs of so many, or more.
        """
        here = letters[self.first - 1 : self.first - 1 + self.seats]
        if _FREE * least in here:
            for found in _stretches(here):
                first, end = found.span()
                if end - first >= least:
                    yield Run(self, self.first + first, end - first)


class Run(NamedTuple):
    """Free seats next to one another, between the row's ends or seats that are taken."""

    row: Row
    first: int
    seats: int

    def place(self, wanted: int) -> tuple[int, int]:
        """Where a block of so many seats is best in it: how far off the row's middle that is, in half seats, and the
        number of its first seat."""
        spare, row = self.seats - wanted, self.row
        # At one of its ends, or two seats from them or more: then it strands none, unless one is all that is left.
        offsets = {0, spare}
        if spare >= 4:
            middle = (2 * row.first + row.seats - wanted) // 2 - self.first
            offsets.add(min(max(middle, 2), spare - 2))
        firsts = [self.first + offset for offset in offsets]
        return min((abs(2 * (first - row.first) + wanted - row.seats), first) for first in firsts)

    def block(self, wanted: int) -> list[int]:
        """That block."""
        _, first = self.place(wanted)
        return list(range(first, first + wanted))


class Hall:
    """The rows of an event.

    Arguments:
        sections: of its layout.
    """

    def __init__(self, sections: Sequence[LayoutSection]) -> None:
        places = [(section.rank, place, row) for section in sections for place, row in enumerate(section.rows)]
        self._rows = [Row(rank, place, order, r.first, r.seats) for order, (rank, place, r) in enumerate(places)]
        self._best_first = sorted(self._rows)

    def pick(self, letters: str, wanted: int, adjacent: Adjacent) -> list[int]:
        """The numbers of the best seats for a group, in order; none if it cannot be seated so.

        Arguments:
            letters: of all seats, as in a seat map; anything but `A` is taken.
            wanted: seats.
        """
        seats = self._block(letters, wanted)
        if seats or adjacent == "required" or letters.count(_FREE) < wanted:
            return seats
        return self._pieces(letters, wanted)

    def largest_block(self, letters: str) -> int:
        """Most seats that are free next to one another."""
        return max((run.seats for row in self._rows for run in row.free(letters)), default=0)

    def _block(self, letters: str, wanted: int) -> list[int]:
        for _, of_rank in groupby(self._best_first, lambda row: row.rank):
            stranding: Run | None = None
            for _, equals in groupby(of_rank, lambda row: row.place):
                runs = [run for row in equals for run in row.free(letters, wanted)]
                if sparing := [run for run in runs if run.seats != wanted + 1]:
                    return min(sparing, key=lambda run: run.place(wanted)).block(wanted)
                if runs and stranding is None:
                    stranding = min(runs, key=lambda run: run.place(wanted))
            if stranding is not None:
                return stranding.block(wanted)
        return []

    def _pieces(self, letters: str, wanted: int) -> list[int]:
        """Seats of several blocks, each shorter than what is wanted; there are enough."""
        runs = [run for row in self._rows for run in row.free(letters)]
        lengths = _Lengths(wanted)
        for run in runs:
            lengths.add(run.seats)
        pieces = lengths.needed()

        lengths = _Lengths(wanted)
        for rank, of_rank in groupby(sorted(runs, key=lambda run: run.row.rank), lambda run: run.row.rank):
            for run in of_rank:
                lengths.add(run.seats)
            if lengths.needed() == pieces:
                runs = [run for run in runs if run.row.rank <= rank]
                break

        near = self._nearest(runs, wanted, pieces)
        near.sort(key=lambda run: (-run.seats, run.row, run.place(run.seats)))
        whole = near[: pieces - 1]
        rest = wanted - sum(run.seats for run in whole)
        last = min(
            (run for run in near[pieces - 1 :] if run.seats >= rest),
            key=lambda run: (run.seats == rest + 1, run.row.rank, run.row.place, run.place(rest)),
        )
        seats = [number for run in whole for number in run.block(run.seats)]
        return sorted(seats + last.block(rest))

    def _nearest(self, runs: Sequence[Run], wanted: int, pieces: int) -> list[Run]:
        """The runs of the rows nearest one another that have so many seats in so many pieces."""
        window = _Lengths(wanted)
        rows = [list(of_row) for _, of_row in groupby(runs, lambda run: run.row)]
        span, nearest = len(self._rows), slice(0)
        first = 0
        for last, row in enumerate(rows):
            for run in row:
                window.add(run.seats)
            while window.needed() <= pieces:
                apart = rows[last][0].row.order - rows[first][0].row.order
                if apart < span:
                    span, nearest = apart, slice(first, last + 1)
                if not span:
                    return rows[last]
                for run in rows[first]:
                    window.remove(run.seats)
                first += 1
        return [run for row in rows[nearest] for run in row]


class _Lengths:
    """How many runs there are of each length, each shorter than what is wanted.

    Arguments:
        wanted: seats.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._runs = [0] * wanted

    def add(self, seats: int) -> None:
        self._runs[seats] += 1

    def remove(self, seats: int) -> None:
        self._runs[seats] -= 1

    def needed(self) -> int:
        """The fewest runs that have what is wanted; one more seat than is wanted if all together have less."""
        pieces, missing = 0, self._wanted
        for seats in range(self._wanted - 1, 0, -1):
            taken = min(self._runs[seats], -(-missing // seats))
            pieces += taken
            missing -= taken * seats
            if missing <= 0:
                return pieces
        return self._wanted + 1
