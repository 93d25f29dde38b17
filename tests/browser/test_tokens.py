"""Pages of a service that wants a token: they ask for one, and work with it."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person, Site, accessible
from tests.browser.hall import Hall
from tests.web import AUDIENCE, ISSUER, KEY, bearer

SETTINGS = {
    "AUTH_MODE": "jwt",
    "JWT_ALGORITHM": "HS256",
    "JWT_KEY": KEY,
    "JWT_AUDIENCE": AUDIENCE,
    "JWT_ISSUER": ISSUER,
}


def token(user: str, *scopes: str, **claims: object) -> str:
    """What a person would paste."""
    return bearer(user, *scopes, **claims)["Authorization"].removeprefix("Bearer ")


@pytest.fixture(scope="module")
def event(site: Site) -> str:
    """An event of 50 seats."""
    made = site.http.post(
        "/events/create", json={"name": "Opening night", "totalSeats": 50}, headers=bearer(str(uuid4()), "events:write")
    )
    return str(made.json()["id"])


def test_the_seat_page_asks_for_a_token_and_works_with_it(person: Callable[..., Person], event: str) -> None:
    """Whoever has none can look; why one is refused is said; a good one holds seats, until it is forgotten."""
    one, two = person(), person()
    hall, stranger = Hall(one, event), Hall(two, event)
    hall.counts(free=50)
    hall.click(7)
    field = hall.page.get_by_label("Bearer token")
    expect(field).to_be_visible()
    accessible(hall.page)
    field.fill(token(str(uuid4()), exp=1))
    field.press("Enter")
    expect(hall.page.get_by_role("alert").filter(has_text="expired")).to_be_visible()
    one.watch.expect("status of 401")

    field.fill("Bearer " + token(str(uuid4())))
    hall.page.get_by_role("button", name="Use this token").click()
    hall.live()
    hall.hold(7)
    stranger.counts(held=1)
    hall.page.reload()
    hall.held(7)
    hall.act(7, "Reserve")
    hall.owns(7)
    stranger.counts(reserved=1, held=0)
    two.watch.expect("status of 401")

    hall.page.get_by_role("button", name="You are").click()
    hall.page.get_by_role("button", name="Forget the token").click()
    hall.counts(owned=0, reserved=1)
    expect(hall.page.get_by_role("button", name="Sign in to hold seats")).to_be_visible()
    one.watch.expect("status of 401")


def test_a_token_that_may_not_create_events_is_told_so(person: Callable[..., Person], event: str) -> None:
    """The scope that is missing is named."""
    one = person()
    page = one.go("/")
    page.get_by_label("Name").fill("Mine")
    page.get_by_role("button", name="Create event").click()
    page.get_by_label("Bearer token").fill(token(str(uuid4())))
    page.get_by_label("Bearer token").press("Enter")
    page.get_by_label("Name").fill("Mine")
    page.get_by_role("button", name="Create event").click()
    expect(page.get_by_role("alert").filter(has_text="events:write")).to_be_visible()
    one.watch.expect("status of 40[13]")


def test_the_operations_page_asks_for_a_token_with_its_scope(person: Callable[..., Person]) -> None:
    """Without `ops:read` it says so; with it, the figures are there, until the token is forgotten."""
    one = person()
    page = one.go("/ops")
    field = page.get_by_label("Bearer token")
    expect(field).to_be_visible()
    expect(page.get_by_role("heading", name="Jobs ended")).to_have_count(0)
    accessible(page)
    field.fill(token(str(uuid4()), "seats:read"))
    field.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="ops:read")).to_be_visible()
    one.watch.expect("status of 403")
    field.fill(token(str(uuid4()), "ops:read"))
    page.get_by_role("button", name="Show the figures").click()
    expect(page.get_by_role("heading", name="Jobs ended").first).to_be_visible()
    expect(field).to_be_hidden()
    page.reload()
    expect(page.get_by_role("heading", name="Jobs ended").first).to_be_visible()
    page.get_by_role("button", name="Forget the token").click()
    expect(field).to_be_visible()
    expect(page.get_by_role("heading", name="Jobs ended")).to_have_count(0)
