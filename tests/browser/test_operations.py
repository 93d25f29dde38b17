"""The operations page, of a service that has work."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE, Person, Site, accessible
from tests.e2e.conftest import Process

SETTINGS = {"WORKER_PROCESSES": "2", "LOCK_EXPIRATION_TIME": "2", "HOLD_JOB_DEADLINE": "1"}


def tile(page: Page, title: str) -> Locator:
    """What is so now."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=title))


def chart(page: Page, title: str) -> Locator:
    """What it was before."""
    return page.get_by_role("region", name=title)


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    """Workers do nothing meanwhile."""
    workers = [pid for pid, line in site.process.family().items() if re.search(r"reservation_cli worker\b", line)]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def test_shows_what_an_on_sale_does(person: Callable[..., Person], site: Site) -> None:
    """While `reservation demo` runs: jobs a second by outcome, how long they take, holds, and how many work on it."""
    page = person().go("/ops")
    expect(page.get_by_role("status")).to_contain_text("Ready")
    expect(tile(page, "Workers")).to_contain_text(re.compile(r"2\s*alive"))
    expect(tile(page, "Jobs ended")).to_contain_text(re.compile(r"ended\s*0\s*a second"))
    expect(page.get_by_text("No job has failed.")).to_be_visible()

    demo = Process("demo", "--url", str(site.http.base_url), "--seats", "60", "--buyers", "120", cwd=site.folder)
    try:
        # It looks at the service first, and makes its buyers.
        expect(tile(page, "Jobs ended")).to_contain_text(re.compile(r"[1-9][\d.,]*\s*a second"), timeout=60_000)
        expect(tile(page, "Time to result")).to_contain_text(re.compile(r"\d\s*(ms|s)\s*p95"))
        expect(chart(page, "Jobs ended").get_by_role("listitem").filter(has_text="Reserved")).to_contain_text(
            re.compile("[1-9]")
        )
        expect(chart(page, "From acceptance to result").get_by_role("listitem").filter(has_text="p99")).to_contain_text(
            re.compile(r"\d\s*(ms|s)")
        )
    finally:
        assert demo.join(60) == 0, demo.output

    hold = site.post("hold", f"{site.create(10)}-1", str(uuid4()))
    assert site.result(hold)["result"]["success"]
    expect(tile(page, "Seats on hold")).to_contain_text(re.compile(r"[1-9]\d*\s*seat"))
    expect(tile(page, "Seats on hold")).to_contain_text(re.compile(r"hold\s*0\s*seats"))
    expect(tile(page, "Holds expired")).to_contain_text(re.compile(r"[1-9]\d* in all"))

    plot = chart(page, "Jobs ended").get_by_role("slider")
    plot.focus()
    plot.press("Home")
    expect(plot).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d: .*Reserved"))


def test_shows_jobs_that_failed_and_is_accessible(person: Callable[..., Person], site: Site) -> None:
    """Workers hang, so that a job fails at its deadline: what it was, why, and how to repeat it."""
    with stopped(site):
        queued = site.post("hold", f"{site.create(10)}-1", str(uuid4()))
        assert site.result(queued)["status"] == "failed"
    page = person().go("/ops")
    row = page.get_by_role("row").filter(has_text=queued.json()["jobId"])
    expect(row).to_contain_text("Hold")
    expect(row.get_by_role("link", name="deadline-passed")).to_have_attribute("href", "/problems/deadline-passed")
    expect(row).to_contain_text(f"reservation jobs retry {queued.json()['jobId']}")
    expect(tile(page, "Jobs ended")).to_contain_text("a second")
    accessible(page)


def test_fits_a_phone(person: Callable[..., Person], site: Site) -> None:
    """390 pixels are enough for the figures, the charts and the table."""
    page = person(**PHONE).go("/ops")
    expect(tile(page, "Jobs ended")).to_contain_text("a second")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    accessible(page, **{"target-size": {"enabled": True}})
