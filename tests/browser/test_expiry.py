"""Holds that run out."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Person, Site
from tests.browser.hall import Hall

SETTINGS = {"LOCK_EXPIRATION_TIME": "4"}


def test_a_hold_runs_out_on_every_screen(person: Callable[..., Person], site: Site) -> None:
    """Its countdown falls, a warning offers to refresh it, and then the seat is free for all without a reload."""
    event = site.create(50)
    hall, other = Hall(person(), event), Hall(person(), event)
    hall.hold(7)
    other.counts(held=1)
    for seconds in ("3", "2", "1"):
        expect(hall.card(7).get_by_role("timer")).to_have_text(seconds)
    hall.says("Your hold on seat 7 runs out in 1 s")
    hall.says("Your hold on seat 7 ran out")
    expect(hall.card(7)).to_contain_text("Your hold ran out")
    for screen in (hall, other):
        screen.counts(free=50, held=0, mine=0)
    assert site.http.get(f"/seats/get/{event}-7").json()["status"] == "Available"

    other.hold(7)
    hall.counts(held=1)


def test_a_hold_that_is_refreshed_in_time_stays(person: Callable[..., Person], site: Site) -> None:
    """The warning's button makes it last again."""
    hall = Hall(person(), site.create(50))
    hall.hold(7)
    hall.messages.get_by_role("button", name="Refresh").click()
    expect(hall.card(7).get_by_role("timer")).to_have_text("4")
    hall.counts(mine=1)
    hall.act(7, "Reserve")
    hall.owns(7)


def test_a_hold_that_ran_out_is_held_again(person: Callable[..., Person], site: Site) -> None:
    """Its card stays, and says what can be done."""
    hall = Hall(person(), site.create(50))
    hall.hold(7)
    hall.says("Your hold on seat 7 ran out")
    hall.act(7, "Hold again")
    hall.held(7)
    hall.counts(mine=1)
    expect(hall.card(7).get_by_role("timer")).to_have_text(re.compile("[34]"))


def test_a_hold_that_ran_out_is_dismissed(person: Callable[..., Person], site: Site) -> None:
    """Whoever does not want it any more can put it away."""
    hall = Hall(person(), site.create(50))
    hall.hold(7)
    hall.says("Your hold on seat 7 ran out")
    hall.act(7, "Dismiss")
    expect(hall.card(7)).to_have_count(0)
