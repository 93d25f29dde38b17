"""Where the seats of an event are: sections and rows, as given when it was created or by a rule.

Seats are numbered through, section by section and row by row, so a row is a stretch of numbers.
"""

from functools import lru_cache
from itertools import count
from math import isqrt

from reservation.models import LayoutRow, LayoutSection
from reservation.requests import NewLayout, row_name

#: Seats of the widest row for each row, as near as the number of seats allows.
_RATIO = 1.7
#: The narrowest hall; and one this wide is narrower at the front, by so many seats in a hundred at each end.
_NARROWEST, _WIDE, _NARROWER = 5, 12, 12
#: Rows of a section, which go by letters, and the names of the sections.
_LETTERS = 26
_TIERS = ("Stalls", "Circle", "Balcony", "Gallery")


def sections_of(layout: NewLayout) -> list[LayoutSection]:
    """The sections of a layout with each row's seats."""
    sections, first = [], 1
    for section in layout.sections:
        rows = []
        counts = [alike.seats for alike in section.rows for _ in range(alike.count)]
        for name, seats in zip(section.row_names, counts, strict=True):
            rows.append(LayoutRow(name=name, first=first, seats=seats))
            first += seats
        sections.append(LayoutSection(name=section.name, rank=section.rank, rows=rows))
    return sections


@lru_cache(64)
def default_sections(total: int) -> list[LayoutSection]:
    """Those of an event that was given no layout: rows around a stage, wider the further back, in sections of at most
    26 rows, of which the front one is best."""
    counts = _row_counts(total)
    tiers = -(-len(counts) // _LETTERS)
    per_tier = -(-len(counts) // tiers)
    sections, first = [], 1
    for tier in range(tiers):
        rows = []
        for place, seats in enumerate(counts[tier * per_tier : (tier + 1) * per_tier]):
            rows.append(LayoutRow(name=row_name(place), first=first, seats=seats))
            first += seats
        sections.append(LayoutSection(name=_TIERS[tier], rank=tier + 1, rows=rows))
    return sections


def _row_counts(total: int) -> list[int]:
    """Seats of each row."""
    for columns in count(max(_NARROWEST, isqrt(int(_RATIO * total)))):  # fewer would make more rows than that
        narrower = (columns * _NARROWER + 50) // 100 if columns >= _WIDE else 0
        counts: list[int] = []
        left = total
        while left:
            counts.append(min(left, columns - 2 * max(0, narrower - len(counts) * 6 // 5)))
            left -= counts[-1]
        if columns >= _RATIO * len(counts):
            return counts
    raise AssertionError("endless")
