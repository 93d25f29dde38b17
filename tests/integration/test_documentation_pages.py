"""What people read: that it is served under a strict policy, and that it leads somewhere."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import pytest
from falcon import testing

from reservation_http.app import is_slow
from reservation_http.quickstart import API, LANGUAGES, USER, source, steps

PAGES = ["/docs", "/docs/quickstart", "/problems", "/problems/seat-held"]
ROOT = Path(__file__).parents[2]
DRAWINGS = ["/assets/seat-states.svg", "/assets/job-states.svg", "/assets/architecture.svg"]


class _Page(HTMLParser):
    """What a page loads and leads to, and what of it a strict policy forbids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in values) else []
        self.ids.update({values["id"]} if "id" in values else ())
        if "src" in values or tag == "link":
            self.loads.add(values.get("src") or values["href"])
        elif tag == "a":
            self.links.add(values["href"])


def _policy(page: testing.Result) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_made_of_files_of_its_own_origin(client: testing.TestClient, path: str) -> None:
    """Nothing in it that a policy would have to let through, and nobody can put it into a page of theirs."""
    page = client.simulate_get(path)
    policy = _policy(page)
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == policy["default-src"] == "'none'"
    assert page.headers["referrer-policy"] == "no-referrer"
    parsed = _Page(page.text)
    assert parsed.inline == []
    assert "/assets/frame.css" in parsed.loads
    assert {urlsplit(url).netloc for url in parsed.loads} == {""}
    assert "{{" not in page.text


@pytest.mark.parametrize("path", PAGES)
def test_whatever_a_page_leads_to_is_there(client: testing.TestClient, path: str) -> None:
    """What it loads, where its links lead, and the parts of pages that they name."""
    parsed = _Page(client.simulate_get(path).text)
    assert len(parsed.loads | parsed.links) > 5
    for url in parsed.loads | parsed.links:
        target, _, part = urljoin(path, url).partition("#")
        found = client.simulate_get(target)
        assert found.status_code in (200, 307), url
        assert not part or part in _Page(found.text).ids, url


def test_swagger_ui_comes_from_here(client: testing.TestClient) -> None:
    """As a script and a style that a browser keeps, apart from the page."""
    script, style = (client.simulate_get(f"/docs/swagger-ui.{suffix}") for suffix in ("js", "css"))
    assert script.headers["content-type"].startswith("text/javascript")
    assert "SwaggerUIBundle" in script.text
    assert style.headers["content-type"].startswith("text/css")
    assert style.text.startswith(".swagger-ui{")
    for file, suffix in ((script, "js"), (style, "css")):
        known = {"If-None-Match": file.headers["etag"]}
        assert client.simulate_get(f"/docs/swagger-ui.{suffix}", headers=known).status_code == 304
        assert is_slow(f"/docs/swagger-ui.{suffix}")
    assert client.simulate_get("/docs/swagger-ui.html").status_code == 404


def test_the_quick_start_is_for_the_address_at_which_it_was_reached(client: testing.TestClient) -> None:
    """In the page and its scripts, with a user that nobody else is given."""
    first, second = (client.simulate_get("/docs/quickstart", headers={"Host": "seats.example:81"}) for _ in range(2))
    assert "http://seats.example:81" in first.text
    users = [re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", page.text) for page in (first, second)]
    assert len(set(users[0])) == len(set(users[1])) == 1
    assert users[0] != users[1]
    for suffix in LANGUAGES:
        script = client.simulate_get(f"/docs/quickstart.{suffix}", headers={"Host": "seats.example:81"}).text
        assert "http://seats.example:81" in script
        assert not [text for text in (API, USER, "#: ", "//: ") if text in script + first.text]
    assert client.simulate_get("/docs/quickstart.exe").status_code == 404


@pytest.mark.parametrize("host", ["x';rm -rf $HOME;'", '"><script>', "a b", "user@evil.example"])
def test_an_address_that_is_none_is_not_in_commands_to_copy(client: testing.TestClient, host: str) -> None:
    """Nobody can have another's page say what is to be run."""
    for path in ("/docs/quickstart", *(f"/docs/quickstart.{suffix}" for suffix in LANGUAGES)):
        page = client.simulate_get(path, headers={"Host": host})
        assert host not in page.text
        assert "http://127.0.0.1" in page.text


def test_all_languages_go_the_same_way() -> None:
    """Each step is there in each, in the same order, and says something."""
    names = [list(steps(source(suffix))) for suffix in LANGUAGES]
    assert names == [["begin", "create", "hold", "follow", "refresh", "reserve", "watch"]] * 3
    assert all(code for suffix in LANGUAGES for code in steps(source(suffix)).values())


def test_every_language_is_there_without_a_script(client: testing.TestClient) -> None:
    """Tabs are the script's: without it, all of the code is shown, under its language's name."""
    page = client.simulate_get("/docs/quickstart").text
    assert "role=" not in page.partition("<main")[2]
    for language in LANGUAGES.values():
        assert page.count(f"<figcaption>{language.name}</figcaption>") == 7


def test_where_tokens_say_who_asks_the_quick_start_says_so(
    client: testing.TestClient, secured: testing.TestClient
) -> None:
    """By a note that is hidden elsewhere."""
    assert 'class="guide with-tokens"' in secured.simulate_get("/docs/quickstart").text
    assert 'class="guide"' in client.simulate_get("/docs/quickstart").text


@pytest.mark.parametrize("path", DRAWINGS)
def test_a_drawing_can_be_read(client: testing.TestClient, path: str) -> None:
    """By whoever does not see it too, in the dark, and without fonts or pictures from elsewhere."""
    answer = client.simulate_get(path)
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(answer.text)  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    named = {root.find(f"{space}{name}") for name in ("title", "desc")}
    assert root.get("role") == "img"
    assert (root.get("aria-labelledby") or "").split() == [each.get("id") for each in root if each in named]
    assert all(each is not None and (each.text or "").strip() for each in named)
    assert "prefers-color-scheme: dark" in answer.text
    assert not re.search(r"@import|@font-face|<image|<script|href=|url\((?!#)", answer.text)
    assert set(_references(root)) == {each.get("id") for each in root.iter(f"{space}marker")}


@pytest.mark.parametrize("name", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_what_a_document_leads_to_is_there(name: str) -> None:
    """Files that it shows, or that its links name."""
    document = ROOT / name
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", text)
    paths = {one or other for one, other in targets if not (one or other).startswith(("http:", "https:"))}
    assert [path for path in paths if not (document.parent / path).exists()] == []


def _references(root: ElementTree.Element) -> Iterator[str]:
    for each in root.iter():
        yield from re.findall(r"url\(#(\w+)\)", each.get("marker-end") or "")
