"""The stream service goes away, and comes back."""

import os
import signal
from collections.abc import Callable
from uuid import uuid4

from playwright.sync_api import expect

from tests.browser.conftest import Person, Site
from tests.browser.hall import Hall, hold
from tests.conftest import wait_for


def streams(site: Site) -> list[int]:
    """The processes of the stream service."""
    return [pid for pid, line in site.process.family().items() if " stream" in line]


def test_what_happened_while_the_stream_service_was_gone_is_made_up_for(
    person: Callable[..., Person], site: Site
) -> None:
    """It is killed, seats change, it is started again: the screen has every change, and nobody has reloaded it."""
    event, user = site.create(50), str(uuid4())
    one = person()
    hall = Hall(one, event)
    hall.hold(1)
    for seat in (2, 3, 4):
        hold(site, f"{event}-{seat}", user)
    hall.counts(free=46, held=3, mine=1)
    hall.page.evaluate("window.same = true")

    before = streams(site)
    assert before
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    # A seat for each way that a status can go, and one that comes back to what it was.
    assert site.post("release", f"{event}-2", user).status_code == 204
    assert site.result(site.post("reserve", f"{event}-3", user))["result"]["success"]
    hold(site, f"{event}-5", user)
    hold(site, f"{event}-6", user)
    assert site.post("release", f"{event}-6", user).status_code == 204
    wait_for(lambda: streams(site), timeout_s=30)

    hall.counts(free=46, held=2, reserved=1, mine=1)
    hall.live()
    states = {1: "on hold for you", 2: "free", 3: "reserved", 5: "on hold by somebody else", 6: "free"}
    for seat, state in states.items():
        expect(hall.find(seat)).to_have_accessible_name(f"Seat {seat}, Row A, {state}")
    hold(site, f"{event}-7", user)
    hall.counts(held=3)
    assert hall.page.evaluate("window.same")
    one.watch.expect("net::ERR_")
