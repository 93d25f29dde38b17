"""Every page: nothing goes wrong in it, nothing comes from elsewhere, nothing that is not ours runs in it."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import PHONE, Person, accessible

#: Pages that are there without an event.
PAGES = ["/", "/ops", "/docs", "/docs/quickstart", "/problems", "/problems/seat-held"]

#: What is not ours to mend: in Swagger UI the button that opens an operation has a link to it inside.
NOT_OURS = {"/docs": ["nested-interactive"]}

#: What somebody tries who could write into a page: a script in it, from elsewhere, in an attribute, in a link.
INJECTED = """async () => {
    const add = (tag, members) => document.body.append(Object.assign(document.createElement(tag), members))
    add("script", {textContent: "window.injected = 'inline'"})
    add("script", {src: "data:text/javascript,window.injected = 'data'"})
    add("div", {innerHTML: "<img src='data:,' onerror='window.injected = 1'>"})
    add("a", {href: "javascript:window.injected = 'link'"})
    document.body.lastChild.click()
    await new Promise(resolve => setTimeout(resolve, 300))
    await fetch("http://127.0.0.2/").then(() => (window.injected = "fetched"), () => {})
}"""


@pytest.mark.parametrize("path", PAGES)
def test_is_accessible(person: Callable[..., Person], path: str) -> None:
    """axe-core finds nothing serious, in light or dark."""
    page = person().go(path)
    page.wait_for_load_state("networkidle")
    accessible(page, **{rule: {"enabled": False} for rule in NOT_OURS.get(path, [])})


@pytest.mark.parametrize("path", PAGES)
def test_fits_a_phone(person: Callable[..., Person], path: str) -> None:
    """390 pixels are enough: nothing has to be scrolled sideways."""
    page = person(**PHONE).go(path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", PAGES)
def test_runs_nothing_that_is_not_ours(person: Callable[..., Person], path: str) -> None:
    """A script that gets into the page does not run, whichever way it comes, and cannot send anything away."""
    one = person()
    page = one.go(path)
    page.evaluate(INJECTED)
    one.watch.expect("Content Security Policy")
    assert page.evaluate("window.injected") is None
