"""Debian's Chromium, the service behind it, and people who look at its pages."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

from tests.e2e.conftest import Service, free_port

#: How long a page may take to show what it is asked for, ms: what has a bound of its own is measured in the page.
PATIENCE_MS = 10_000
#: What Chromium says of each request when the machine gets another address, as by a container that starts beside.
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
#: What a phone is: as wide as most, and touched.
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


#: What axe-core is asked in which colours: in dark only about them.
SCHEMES: list[tuple[Literal["light", "dark"], dict[str, Any]]] = [
    ("light", {}),
    ("dark", {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}),
]
#: Resolves when nothing moves any more, or fades in: what is half there has no contrast.
STILL = """() => Promise.allSettled(document.getAnimations()
    .filter(one => Number.isFinite(one.effect.getComputedTiming().endTime))
    .map(one => one.finished))"""


class Site(Service):
    """A service and its pages, by `reservation up`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.stream_port = free_port()
        super().__init__(folder, STREAM_PORT=str(self.stream_port), LOG_LEVEL="warning", **environment)
        #: What its pages speak to: the API, and the stream service.
        self.origins = {f"http://127.0.0.1:{port}" for port in (self.port, self.stream_port)}


class Watch:
    """All that goes wrong in a person's pages: what is said in the console, failed requests, and any to another host.

    Arguments:
        context: the person's browser.
        origins: what its pages may speak to.
    """

    def __init__(self, context: BrowserContext, origins: set[str]) -> None:
        self._origins = origins
        self._found: list[str] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("requestfailed", self._on_failure)

    def expect(self, pattern: str) -> None:
        """Takes out what a test provokes, which has to be there: Chromium logs each answer from 400 on as an error."""
        left = [line for line in self._found if not re.search(pattern, line)]
        assert len(left) < len(self._found), f"nothing like {pattern!r} among {self._found}"
        self._found = left

    def check(self) -> None:
        """Fails if anything is left."""
        assert not self._found, "\n".join(self._found)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert") and NETWORK_CHANGED not in message.text:
            self._found.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _on_error(self, error: WebError) -> None:
        self._found.append(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and f"{url.scheme}://{url.netloc}" not in self._origins:
            self._found.append(f"another host: {request.url}")

    def _on_failure(self, request: Request) -> None:
        # Aborted is what the page itself gave up: a feed, when it is left.
        if request.failure not in ("net::ERR_ABORTED", NETWORK_CHANGED):
            self._found.append(f"failed: {request.method} {request.url}: {request.failure}")


class Person:
    """Somebody with a browser of their own: one page in it, and a storage that nobody else sees."""

    def __init__(self, context: BrowserContext, watch: Watch) -> None:
        self.context = context
        self.watch = watch
        self.page: Page = context.new_page()

    def go(self, path: str) -> Page:
        """Opens a page of the service."""
        response = self.page.goto(path)
        assert response is not None
        assert response.status == 200, f"{path}: {response.status}"
        return self.page


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, not one that Playwright brings along. As root it has no sandbox to start."""
    path = shutil.which("chromium")
    assert path, "tests/browser/packages installs it"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for the session: each person has a context of it."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """One for a module's tests, with the module's `SETTINGS`."""
    settings: dict[str, str] = getattr(request.module, "SETTINGS", {})
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        running = Site(Path(folder), **settings)
        yield running
        running.close()


@pytest.fixture
def person(browser: Browser, site: Site) -> Iterator[Callable[..., Person]]:
    """Makes people, with options of a browser's context, as `color_scheme`. In what they look at nothing goes wrong."""
    people: list[Person] = []

    def make(**options: Any) -> Person:
        context = browser.new_context(base_url=str(site.http.base_url), **options)
        context.set_default_timeout(PATIENCE_MS)
        people.append(Person(context, Watch(context, site.origins)))
        return people[-1]

    yield make
    for one in people:
        one.context.close()
    for one in people:
        one.watch.check()


def accessible(page: Page, **rules: dict[str, bool]) -> None:
    """Fails if axe-core finds what is a serious or critical obstacle to somebody: in light, and of its colours in dark.

    Arguments:
        page: as it is now.
        rules: which of axe-core's rules are on or off, where that differs from its default.
    """
    for scheme, only in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(STILL)
        options = {"resultTypes": ["violations"], "rules": rules, **only}
        found = Axe().run(page, options=options).response["violations"]
        grave = [
            f"{scheme}: {rule['id']} ({rule['impact']}): {rule['help']}\n"
            + "\n".join(f"    {' '.join(map(str, node['target']))}: {node['html'][:160]}" for node in rule["nodes"][:5])
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]
        assert not grave, "\n".join(grave)
    page.emulate_media(color_scheme="light")


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says a figure at the end of the run."""
    return lambda text: record_property("measured", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that the tests have measured."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    lines = [text for r in reports if r.when == "call" for name, text in r.user_properties if name == "measured"]
    if lines:
        terminalreporter.section("measured in the pages")
        for line in lines:
            terminalreporter.line(str(line))
