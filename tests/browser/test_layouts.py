"""A hall that the seller has laid out."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Person, Site
from tests.browser.hall import Hall

NEW = {
    "name": "Chamber music",
    "layout": {
        "sections": [
            {"name": "Parquet", "rows": [{"seats": 8, "count": 3}, {"name": "Box", "seats": 4}]},
            {"name": "Organ loft", "rank": 2, "rows": [{"seats": 12}]},
        ]
    },
}


def test_its_rows_are_where_the_layout_says(person: Callable[..., Person], site: Site) -> None:
    """Sections and rows by name; the keys go from row to row; a click is at the seat that one sees."""
    created = site.http.post("/events/create", json=NEW).raise_for_status().json()
    hall = Hall(person(), created["id"])
    for seat, place in (
        (8, "Row A, Parquet"),
        (9, "Row B, Parquet"),
        (28, "Row Box, Parquet"),
        (29, "Row A, Organ loft"),
    ):
        expect(hall.find(seat)).to_have_accessible_name(f"Seat {seat}, {place}, free")
    hall.find(20)  # the fourth of row C
    hall.grid.press("ArrowDown")
    expect(hall.cell(26)).to_have_accessible_name("Seat 26, Row Box, Parquet, free")
    hall.grid.press("ArrowDown")
    expect(hall.cell(34)).to_have_accessible_name("Seat 34, Row A, Organ loft, free")
    hall.hold(30)
    hall.counts(free=39, mine=1)
