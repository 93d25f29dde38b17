"""`make screenshots`: the README's pictures, of a sale that is going on."""

import random
import re
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from playwright.sync_api import Browser, expect

from tests.browser.conftest import PHONE, Person, Site, Watch, chromium
from tests.browser.hall import Hall
from tests.e2e.conftest import Process

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
SEATS = 500
DESK = {"viewport": {"width": 1280, "height": 800}}
#: For how long there are sales before the operations page is pictured, which shows the last two minutes.
OPERATIONS_S = 80
#: What it says of jobs when there are some.
BUSY = re.compile(r"[1-9][\d.]*\s*a second")
#: Always the same sale, so that a new picture shows what has become of the pages.
CHANCE = random.Random(5)  # noqa: S311  # nothing secret


def someone() -> str:
    """A made-up user."""
    return str(UUID(int=CHANCE.getrandbits(128), version=4))


def act(site: Site, action: str, event: str, seats: dict[int, str]) -> None:
    """Has seats held or reserved, each by a user, and waits until they are."""
    jobs = [site.post(action, f"{event}-{seat}", user) for seat, user in seats.items()]
    for job in jobs:
        assert site.result(job)["result"]["success"]


def sell(site: Site, name: str, seats: int, sold: float, held: float, apart: tuple[int, ...] = ()) -> str:
    """An event as it looks after a while: parties sit together, and the front goes first.

    Arguments:
        site: where.
        name: of the event.
        seats: how many it has.
        sold: share of them that is reserved.
        held: share of them that is on hold.
        apart: seats that stay free.
    """
    made = site.http.post("/events/create", json={"name": name, "totalSeats": seats})
    event = str(made.json()["id"])
    taken: dict[int, str] = {}
    for first in sorted(range(1, seats + 1), key=lambda seat: seat + CHANCE.gauss(0, seats / 3)):
        user = someone()
        for seat in range(first, min(first + CHANCE.choice([1, 2, 2, 2, 3, 4]), seats + 1)):
            if seat not in apart and len(taken) < (sold + held) * seats:
                taken.setdefault(seat, user)
    reserved = dict(CHANCE.sample(sorted(taken.items()), int(sold * seats)))
    act(site, "hold", event, reserved)
    act(site, "reserve", event, reserved)
    act(site, "hold", event, {seat: user for seat, user in taken.items() if seat not in reserved})
    return event


def visitor(browser: Browser, site: Site, user: str, **options: Any) -> Person:
    """Somebody with this UUID, who does not want things to move."""
    context = browser.new_context(base_url=str(site.http.base_url), reduced_motion="reduce", **options)
    context.add_init_script(f"localStorage.setItem('seats.user', '{user}')")
    return Person(context, Watch(context, site.origins))


def seats(browser: Browser, site: Site) -> None:
    """The seat page, on a desk and on a phone."""
    me = someone()
    mine, ours = (187, 188, 189), (203, 204)
    event = sell(site, "Opening night", SEATS, 0.42, 0.06, apart=(*mine, *ours))
    act(site, "hold", event, dict.fromkeys(ours, me))
    act(site, "reserve", event, dict.fromkeys(ours, me))
    for seat in mine:
        act(site, "hold", event, {seat: me})
        sell(site, "Matinee", 80, 0.9, 0.05)  # takes its time, so that the next one's countdown is another
    hall = Hall(visitor(browser, site, me, **DESK), event)
    for seat in mine:
        hall.held(seat)
    hall.page.screenshot(path=FOLDER / "seats.png")
    phone = Hall(visitor(browser, site, me, **PHONE), event)
    phone.held(mine[0])
    phone.page.screenshot(path=FOLDER / "seats-phone.png")


def docs(browser: Browser, site: Site) -> None:
    """The quick start."""
    page = visitor(browser, site, someone(), **DESK).go("/docs/quickstart")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.screenshot(path=FOLDER / "docs.png")


def operations(browser: Browser, site: Site) -> None:
    """The operations page, after some sales and in the middle of one."""
    page = visitor(browser, site, someone(), viewport={"width": 1280, "height": 980}).go("/ops")
    began = time.monotonic()
    while True:
        demo = Process("demo", "--url", str(site.http.base_url), cwd=site.folder)
        if time.monotonic() - began > OPERATIONS_S:
            break
        demo.join(300)
    expect(page.get_by_role("listitem").filter(has_text="Jobs ended")).to_contain_text(BUSY, timeout=60_000)
    page.screenshot(path=FOLDER / "ops.png")
    demo.join(300)


def main() -> None:
    """Takes all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, chromium() as browser:
        site = Site(Path(folder), LOCK_EXPIRATION_TIME="90")
        try:
            docs(browser, site)
            seats(browser, site)
            operations(browser, site)
        finally:
            site.close()


if __name__ == "__main__":
    main()
