"""Seats that operators have taken out of the sale."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Person, Site, accessible
from tests.browser.hall import Hall


def test_a_blocked_seat_is_shown_as_what_it_is(person: Callable[..., Person], site: Site) -> None:
    """To who comes, and as it happens; and not asked for. The legend has it while there are any."""
    event = site.create(50)
    named = {"ids": [f"{event}-7", f"{event}-8"]}
    hall = Hall(person(), event)
    legend = hall.page.get_by_role("list", name="Legend")
    expect(legend.get_by_text("Not for sale")).to_be_hidden()
    assert site.http.post(f"/events/{event}/block", json=named).status_code == 204
    hall.counts(free=48, blocked=2)
    expect(legend.get_by_text("Not for sale")).to_be_visible()
    expect(hall.find(7)).to_have_accessible_name("Seat 7, Row A, not for sale")
    hall.click(7)
    hall.says("Seat 7 is not for sale")
    accessible(hall.page)
    again = Hall(person(), event)
    again.counts(free=48, blocked=2)
    assert site.http.post(f"/events/{event}/unblock", json=named).status_code == 204
    hall.counts(free=50, blocked=0)
    expect(legend.get_by_text("Not for sale")).to_be_hidden()
    hall.hold(7)


def test_a_list_says_how_many_are_not_for_sale(person: Callable[..., Person], site: Site) -> None:
    """Beside those that are free."""
    event = site.create(10)
    assert site.http.post(f"/events/{event}/block", json={"ids": [f"{event}-1"]}).status_code == 204
    page = person().go("/")
    expect(page.locator(f'a[href="/?event={event}"]')).to_contain_text("9 free · 1 not for sale")
