"""The way in: the countdown to the opening, and the waiting room."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Person, Site, accessible
from tests.browser.hall import Hall

SETTINGS = {"ADMISSION_TTL": "600"}


def event(site: Site, opens_in_ms: int | None = None, **room: int) -> str:
    """One that opens in so many milliseconds, by the service's clock, with a waiting room or without."""
    new: dict[str, Any] = {"name": "Opening night", "totalSeats": 50}
    if opens_in_ms is not None:
        new["opensAt"] = site.http.get(f"/events/{site.create(10)}").json()["createdAt"] + opens_in_ms
    if room:
        new["waitingRoom"] = room
    made = site.http.post("/events/create", json=new)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_counts_down_to_the_opening(person: Callable[..., Person], site: Site) -> None:
    """Until then seats are to be looked at; from then on they can be held, without a reload."""
    one = person()
    hall = Hall(one, event(site, 8_000))
    entry = hall.page.get_by_role("region", name="Sales open in")
    expect(entry.get_by_role("timer")).to_have_text(re.compile(r"^0:0\d$"))
    expect(hall.page.locator("#holds-empty")).to_be_hidden()
    hall.click(3)
    hall.says("Sales have not begun")
    one.watch.expect("status of 409")
    hall.says("Sales are open")
    expect(entry).to_be_hidden()
    hall.hold(3)


def test_who_is_early_waits_and_goes_on_by_themselves(person: Callable[..., Person], site: Site) -> None:
    """Joined before the opening, with others: a countdown, then a place or the way in; then seats can be held."""
    sale = event(site, 6_000, admitPerMinute=30)
    for _ in range(2):
        assert site.http.post(f"/events/{sale}/queue", json={"UUID": str(uuid4())}).status_code == 201
    one = person()
    hall = Hall(one, sale)
    page = hall.page
    expect(page.get_by_role("region", name="Sales open in")).to_contain_text("random place")
    page.get_by_role("button", name="Join the waiting room").click()
    entry = page.get_by_role("region", name="You are in the waiting room")
    expect(entry).to_contain_text("until sales open")
    expect(page.get_by_role("button", name="Join the waiting room")).to_be_hidden()
    hall.says("You are in")
    expect(page.get_by_role("region", name="You are in")).to_contain_text("left to hold seats")
    hall.hold(5)
    hall.act(5, "Reserve")
    hall.owns(5)


def test_who_is_later_sees_their_place(person: Callable[..., Person], site: Site) -> None:
    """How many are before, and how long that takes; a reload keeps it; one is let in when it is one's turn."""
    sale = event(site, admitPerMinute=30)
    for _ in range(4):
        site.http.post(f"/events/{sale}/queue", json={"UUID": str(uuid4())})
    one = person()
    hall = Hall(one, sale)
    page = hall.page
    expect(page.get_by_role("region", name="Waiting room")).to_contain_text("30 a minute are let in")
    hall.click(3)
    hall.says("The event has a waiting room")
    one.watch.expect("status of 403")
    page.get_by_role("button", name="Join the waiting room").click()
    entry = page.get_by_role("region", name="You are in the waiting room")
    expect(entry).to_contain_text(re.compile(r"\d before you, about \d+.s"))
    accessible(page)
    page.reload()
    hall.live()
    expect(entry).to_contain_text(re.compile(r"before you|Next"))
    expect(entry.get_by_role("timer")).to_have_text("Next")
    hall.says("You are in")
    accessible(page)
    hall.hold(3)


def test_whose_time_is_over_joins_again(person: Callable[..., Person], site: Site) -> None:
    """What was held stays."""
    hall = Hall(person(), event(site, admitPerMinute=600, admissionTtl=10))
    page = hall.page
    page.get_by_role("button", name="Join the waiting room").click()
    hall.says("You are in")
    hall.hold(3)
    over = hall.messages.get_by_text("Your time to hold seats is over")
    expect(over).to_be_visible(timeout=20_000)
    expect(hall.card(3)).to_be_visible()
    page.get_by_role("button", name="Join the waiting room").click()
    expect(page.get_by_role("region", name="You are in")).to_be_visible()
    hall.hold(4)


def test_a_list_says_when_sales_open(person: Callable[..., Person], site: Site) -> None:
    """Of those that are not open yet."""
    later, now = event(site, 3_600_000), event(site)
    page = person().go("/")
    items = page.get_by_role("list", name="Events")
    expect(items.locator(f"a[href='/?event={later}']")).to_contain_text("sales open on")
    expect(items.locator(f"a[href='/?event={now}']")).not_to_contain_text("sales open")


def test_waits_on_a_phone(person: Callable[..., Person], site: Site) -> None:
    """390 pixels: nothing is cut off, and the button is in sight."""
    hall = Hall(person(**PHONE), event(site, 3_600_000, admitPerMinute=60))
    page = hall.page
    join = page.get_by_role("button", name="Join the waiting room")
    expect(join).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    accessible(page, **{"target-size": {"enabled": True}})
    join.tap()
    expect(page.get_by_role("region", name="You are in the waiting room")).to_contain_text("until sales open")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_says_that_sales_have_ended(person: Callable[..., Person], site: Site) -> None:
    """As it happens; what is held can still be reserved."""
    sale = event(site)
    closes_at = site.http.get(f"/events/{site.create(10)}").json()["createdAt"] + 8_000
    assert site.http.patch(f"/events/{sale}", json={"closesAt": closes_at}).status_code == 200
    one = person()
    hall = Hall(one, sale)
    hall.hold(3)
    expect(hall.page.get_by_role("region", name="Sales have ended")).to_contain_text("can reserve")
    expect(hall.page.locator("#best")).to_be_hidden()
    hall.says("Sales have ended")
    hall.act(3, "Reserve")
    hall.owns(3)
    accessible(hall.page)
    expect(one.go("/").locator(f'a[href="/?event={sale}"]')).to_contain_text("sales have ended")
