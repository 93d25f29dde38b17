"""The pages for people: how they are served, and that all they are made of is there."""

import re
from collections.abc import Callable
from importlib.resources import files

import pytest
from falcon import testing

from tests.web import problem

#: How a page, a style sheet and a module name another file.
_NAMED = re.compile(r"""(?:href|src)="/assets/([^"]+)"|(?:from|import) "\./([^"]+)";|url\("?/assets/([^")]+)""")
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def _named(text: str) -> set[str]:
    return {name for match in _NAMED.findall(text) for name in match if name}


def test_the_seat_page_may_run_its_own_scripts_and_no_others(
    make_client: Callable[..., testing.TestClient],
) -> None:
    """And connect to the stream service, whose address it is told, and to nothing else."""
    client = make_client(stream_url="https://live.tickets.example")
    page = client.simulate_get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' https://live.tickets.example"
    assert '<meta name="stream" content="https://live.tickets.example">' in page.text


def test_the_seat_page_has_nothing_that_its_policy_forbids(client: testing.TestClient) -> None:
    """No script, style or handler in the page itself, and no address of another host."""
    html = client.simulate_get("/").text
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", html) == []
    assert re.findall(r"""(?:href|src|action)=["']?(?:https?:)?//""", html) == []


def test_all_that_a_page_is_made_of_is_served(client: testing.TestClient) -> None:
    """With its type, whoever names it: the page, its style sheet, or a module."""
    left = _named(client.simulate_get("/").text)
    assert {"page.js", "seats.css", "icon.svg"} <= left
    seen: set[str] = set()
    while left:
        name = left.pop()
        seen.add(name)
        file = client.simulate_get(f"/assets/{name}")
        assert (file.status_code, file.headers["content-type"]) == (200, _TYPES[name.rpartition(".")[2]]), name
        left |= _named(file.text) - seen
    modules = {name for name in seen if name.endswith(".js")}
    assert modules > {"page.js"}
    # Asked for at once, and not one after the other as each names the next.
    assert modules - {"page.js"} <= _named(client.simulate_get("/").text)


@pytest.mark.parametrize("name", ["page.js", "seats.css", "icon.svg"])
def test_a_file_that_is_known_is_not_sent_again(client: testing.TestClient, name: str) -> None:
    """But asked about each time, so that a page and its files are of one version."""
    first = client.simulate_get(f"/assets/{name}")
    assert first.content == files("reservation_http.assets").joinpath(name).read_bytes()
    assert first.headers["cache-control"] == "no-cache"
    again = client.simulate_get(f"/assets/{name}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.simulate_get(f"/assets/{name}", headers={"If-None-Match": '"another"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("name", ["nothing.js", "seats.html", "__init__.py", "page.js.map"])
def test_what_is_no_file_of_a_page_is_404(client: testing.TestClient, name: str) -> None:
    """Pages themselves are, too: they have addresses of their own."""
    problem(client.simulate_get(f"/assets/{name}"), 404, "not-found")


def test_the_seat_page_leads_to_the_documentation(client: testing.TestClient) -> None:
    """To the reference, and to the other pages."""
    html = client.simulate_get("/").text
    assert {"/docs", "/docs/quickstart", "/ops"} <= set(re.findall(r'href="([^"]+)"', html))
