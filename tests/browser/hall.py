"""The seat page as a person uses it, and what is measured in it by its own clock."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Person, Site

#: Sets `window.shown` to a promise of when an element's text was seen to change: epoch ms, after the frame that has it.
_WATCH = """id => {
    const element = document.getElementById(id)
    const before = element.textContent
    window.shown = new Promise(resolve => {
        const observer = new MutationObserver(() => {
            if (element.textContent === before) return
            observer.disconnect()
            // A message is not before the frame in which this runs has been painted.
            const channel = new MessageChannel()
            channel.port1.onmessage = () => resolve(performance.timeOrigin + performance.now())
            channel.port2.postMessage(null)
        })
        observer.observe(element, {childList: true, characterData: true, subtree: true})
    })
}"""
#: Notes in `window.acted` when a key or a button was last pressed: epoch ms.
_NOTE = """() => {
    for (const name of ["keydown", "pointerup"]) {
        addEventListener(name, event => (window.acted = performance.timeOrigin + event.timeStamp), {capture: true})
    }
}"""


class Hall:
    """A person's seat page, with an event open.

    Arguments:
        person: who looks at it.
        event: its id.
    """

    def __init__(self, person: Person, event: str) -> None:
        self.person = person
        self.event = event
        self.page: Page = person.go(f"/?event={event}")
        self.grid = self.page.get_by_role("grid", name="Seat map")
        self.mine = self.page.get_by_role("list", name="On hold for you")
        self.messages = self.page.get_by_role("region", name="Messages")
        self.live()

    def live(self) -> None:
        """Waits until the feed is there."""
        expect(self.page.locator("#connection")).to_have_text("Live")

    def counts(self, **wanted: int) -> None:
        """Waits until the legend says so many: `free`, `held` (by others), `reserved`, `mine`, `owned`."""
        for name, number in wanted.items():
            expect(self.page.locator(f"#count-{name}")).to_have_text(f"{number:,}")

    def find(self, seat: int) -> Locator:
        """Goes to a seat by its number, as the page offers it; returns its cell on the map."""
        number = self.page.get_by_label("Seat", exact=True)
        number.fill(str(seat))
        number.press("Enter")
        return self.cell(seat)

    def cell(self, seat: int) -> Locator:
        """The cell over a seat, at which the keyboard is."""
        return self.page.get_by_role("gridcell", name=re.compile(rf"^Seat {seat},"))

    def click(self, seat: int) -> None:
        """Clicks on a seat of the map."""
        x, y = self.centre(self.find(seat))
        self.page.mouse.click(x, y)

    def centre(self, cell: Locator) -> tuple[float, float]:
        """Where the middle of an element is, once it has come to rest."""
        cell.wait_for(state="attached")
        self.page.evaluate(_REST, cell.get_attribute("id"))
        box = cell.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def hold(self, seat: int) -> Locator:
        """Holds a free seat with the mouse; returns its card once the service has said so."""
        self.click(seat)
        return self.held(seat)

    def held(self, seat: int) -> Locator:
        """The card of a seat that is on hold for this person."""
        card = self.card(seat)
        expect(card.get_by_role("button", name=f"Release seat {seat}")).to_have_attribute("aria-disabled", "false")
        expect(card.get_by_role("timer")).to_have_text(re.compile(r"^\d"))
        return card

    def card(self, seat: int) -> Locator:
        """The card of a seat."""
        return self.mine.get_by_role("listitem").filter(has_text=re.compile(rf"Seat {seat}(?!\d)"))

    def act(self, seat: int, action: str) -> None:
        """Presses a button of a seat's card: Reserve, Refresh, Release, Hold again, Dismiss."""
        self.card(seat).get_by_role("button", name=f"{action} seat {seat}").click()

    def seconds(self, seat: int) -> int:
        """What a seat's countdown shows."""
        return int(self.card(seat).get_by_role("timer").inner_text())

    def says(self, text: str) -> None:
        """Waits for a message."""
        expect(self.messages.get_by_text(text)).to_be_visible()

    def owns(self, seat: int) -> None:
        """Waits until a seat is shown as reserved for this person."""
        ours = self.page.get_by_role("list", name="Reserved for you")
        expect(ours.get_by_text(f"Seat {seat}", exact=True)).to_be_visible()

    def note_actions(self) -> None:
        """Notes from now on when the person last pressed something."""
        self.page.evaluate(_NOTE)

    def acted(self) -> float:
        """When that was, epoch ms."""
        return float(self.page.evaluate("window.acted"))

    def watch(self, name: str) -> None:
        """Looks from now on when a number of the legend changes."""
        self.page.evaluate(_WATCH, f"count-{name}")

    def shown(self) -> float:
        """When it did, epoch ms."""
        return float(self.page.evaluate("window.shown"))


#: Resolves once an element is where it was a frame before.
_REST = """id => new Promise(resolve => {
    let before = ""
    const look = () => {
        const {x, y} = document.getElementById(id).getBoundingClientRect()
        if (before === `${x} ${y}`) return resolve()
        before = `${x} ${y}`
        requestAnimationFrame(() => requestAnimationFrame(look))
    }
    look()
})"""


def hold(site: Site, seat: str, user: str) -> dict[str, Any]:
    """Somebody without a browser holds a seat. The job's result, which has to be a success."""
    job = site.result(site.post("hold", seat, user))
    assert job["result"]["success"], job
    result: dict[str, Any] = job["result"]
    return result
