"""Layouts: what a request may say, and what comes of it."""

from itertools import chain
from typing import Any

import pytest
from pydantic import ValidationError

from reservation.layouts import default_sections, sections_of
from reservation.models import LayoutSection
from reservation.requests import NewEvent, row_name


def new(**members: object) -> NewEvent:
    return NewEvent.model_validate({"name": "Opening night", **members})


def laid_out(*sections: dict[str, Any]) -> dict[str, Any]:
    return {"sections": list(sections)}


STALLS = {"name": "Stalls", "rows": [{"seats": 4, "count": 2}, {"name": "Box", "seats": 3}, {"seats": 2}]}
CIRCLE = {"name": "Circle", "rank": 2, "rows": [{"seats": 5}]}


def test_seats_are_numbered_through() -> None:
    """Section by section and row by row; rows without a name go by letters, by their place."""
    layout = new(layout=laid_out(STALLS, CIRCLE)).layout
    assert layout is not None
    stalls, circle = sections_of(layout)
    assert (stalls.name, stalls.rank, circle.name, circle.rank) == ("Stalls", 1, "Circle", 2)
    assert [(row.name, row.first, row.seats) for row in stalls.rows] == [
        ("A", 1, 4),
        ("B", 5, 4),
        ("Box", 9, 3),
        ("D", 12, 2),
    ]
    assert [(row.name, row.first, row.seats) for row in circle.rows] == [("A", 14, 5)]


def test_a_total_may_be_given_beside_a_layout() -> None:
    """And then has to agree."""
    assert new(layout=laid_out(STALLS, CIRCLE)).seats == 18
    assert new(layout=laid_out(STALLS, CIRCLE), totalSeats=18).seats == 18
    assert new(totalSeats=500).seats == 500


def rows(*counts: dict[str, Any]) -> dict[str, Any]:
    return laid_out({"name": "Stalls", "rows": list(counts)})


@pytest.mark.parametrize(
    ("members", "field", "said"),
    [
        ({}, "totalSeats", "Field required"),
        ({"totalSeats": None}, "totalSeats", "null"),
        ({"layout": None, "totalSeats": 10}, "layout", "null"),
        ({"layout": laid_out(STALLS), "totalSeats": 14}, "totalSeats", "must be as many as the layout has, 13"),
        ({"layout": rows({"seats": 9})}, "layout", "10 to 10,000 seats in all, and has 9"),
        ({"layout": rows({"seats": 1000, "count": 10}, {"seats": 1})}, "layout", "10 to 10,000 seats in all"),
        ({"layout": rows({"seats": 1, "count": 1000}, {"seats": 1})}, "layout", "at most 1,000 rows"),
        ({"layout": laid_out(STALLS, STALLS)}, "layout", "two sections of one name"),
        ({"layout": rows({"seats": 9, "name": "B"}, {"seats": 9})}, "layout", "two rows of one name in Stalls"),
        ({"layout": rows({"seats": 9, "name": "B", "count": 2})}, "layout.sections.0.rows.0", "only a single row"),
        ({"layout": rows({"seats": 9, "name": " "}, {"seats": 9})}, "layout.sections.0.rows.0.name", "blank"),
        ({"layout": rows({"seats": "9"}, {"seats": 9})}, "layout.sections.0.rows.0.seats", "integer"),
        ({"layout": rows({"seats": 0}, {"seats": 10})}, "layout.sections.0.rows.0.seats", "greater"),
        ({"layout": rows({"seats": 9, "columns": 3}, {"seats": 9})}, "layout.sections.0.rows.0.columns", "Extra"),
        ({"layout": {"sections": []}}, "layout.sections", "at least 1"),
        ({"layout": laid_out({**CIRCLE, "rank": 0})}, "layout.sections.0.rank", "greater"),
    ],
)
def test_what_cannot_be_is_refused_by_name(members: dict[str, object], field: str, said: str) -> None:
    """With the member that is wrong."""
    with pytest.raises(ValidationError) as error:
        new(**members)
    (found,) = error.value.errors()
    assert ".".join(map(str, found["loc"])) == field
    assert said in found["msg"]


def test_rows_go_by_letters() -> None:
    """And then by two, as the columns of a spreadsheet."""
    assert [row_name(place) for place in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def shape(sections: list[LayoutSection]) -> list[list[int]]:
    return [[row.seats for row in section.rows] for section in sections]


@pytest.mark.parametrize("total", [10, 11, 137, 500, 2_400, 9_999, 10_000])
def test_an_event_without_a_layout_has_rows(total: int) -> None:
    """All its seats, in order; in sections of which the front is best; no row is longer than the last whole one."""
    sections = default_sections(total)
    first = 1
    for section in sections:
        for row in section.rows:
            assert row.first == first
            first += row.seats
    assert first == total + 1
    assert [section.rank for section in sections] == [*range(1, len(sections) + 1)]
    counts = [*chain.from_iterable(shape(sections))]
    assert counts[:-1] == sorted(counts[:-1])
    assert max(counts) >= 1.7 * len(counts), "wider than deep"
    assert max(map(len, shape(sections))) <= 26


def test_halls_by_rule() -> None:
    """What was sold stays where it was: the rule must not change by accident."""
    assert shape(default_sections(10)) == [[5, 5]]
    assert shape(default_sections(100)) == [[10, 12, 14, 14, 14, 14, 14, 8]]
    assert [(s.name, len(s.rows), s.rows[0].seats, s.rows[-1].seats) for s in default_sections(10_000)] == [
        ("Stalls", 26, 101, 133),
        ("Circle", 26, 133, 133),
        ("Balcony", 25, 133, 132),
    ]
