"""What the `type` of a problem leads to, and what else is shown to people."""

import base64
import hashlib
import re
from html import unescape
from pathlib import Path

import pytest
from falcon import testing

from reservation.codes import Code
from reservation_http.pages import Page
from reservation_http.problems import KINDS, VERDICTS
from tests.web import problem

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


@pytest.mark.parametrize("slug", [*KINDS, *VERDICTS])
def test_every_type_is_a_page(client: testing.TestClient, slug: str) -> None:
    """That says what it means, and what to do."""
    page = client.simulate_get(f"/problems/{slug}")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = unescape(page.text)
    assert slug in text
    assert (KINDS[slug].remedy if slug in KINDS else VERDICTS[slug]) in text
    assert f'href="/problems/{slug}"' in client.simulate_get("/problems").text


def test_a_problem_leads_to_its_page(client: testing.TestClient) -> None:
    """By its `type`, which is relative to the service."""
    told = problem(client.simulate_get("/nowhere"), 404, "unknown-route")
    assert told["title"] in client.simulate_get(told["type"]).text


def test_no_other_page(client: testing.TestClient) -> None:
    """And nothing of what was asked for is shown."""
    for slug in ("nothing", "%3Cscript%3Ealert(1)%3C/script%3E", "..%2fdocs", "seat-held%00"):
        answer = client.simulate_get(f"/problems/{slug}")
        assert answer.status_code == 404
        assert "script" not in answer.text


def test_the_guide_lists_every_kind() -> None:
    """With its status, and no other."""
    section = GUIDE.read_text(encoding="utf-8").partition("## Errors")[2].partition("\n## ")[0]
    listed = {
        (slug, int(status))
        for names, status in re.findall(r"^\| (`.+?) \| (\d{3}) \|", section, re.MULTILINE)
        for slug in re.findall(r"`([a-z-]+)`", names)
    }
    assert listed == {(kind.slug, kind.status) for kind in KINDS.values()}


def test_every_end_of_a_job_is_explained() -> None:
    """Whatever `result.error` may be."""
    assert {code.slug for code in Code if code.slug in VERDICTS} <= set(VERDICTS)
    assert not set(VERDICTS) & set(KINDS)
    named = {Code.HOLD_EXPIRED.slug, Code.SEAT_UNKNOWN.slug, Code.SEAT_HELD.slug, Code.LIMIT_REACHED.slug}
    assert named <= set(VERDICTS) | set(KINDS)


@pytest.mark.parametrize("path", ["/docs", "/problems", "/problems/seat-held"])
def test_a_page_runs_its_own_scripts_only(client: testing.TestClient, path: str) -> None:
    """By hash, as a browser reckons it; and nobody can put it into a page of theirs."""
    page = client.simulate_get(path)
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    # A script ends at the first end tag, whatever it says before that.
    scripts = re.findall(r"(?s)<script>(.*?)</script>", page.text)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = policy["script-src"].split()
    assert (path == "/docs") == bool(allowed != ["'none'"])
    assert not [source for source in allowed if not source.startswith("'sha256-") and source != "'none'"]
    assert {source[8:-1] for source in allowed if source != "'none'"} <= set(hashes)
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == policy["default-src"] == "'none'"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(
        r"\bsrc=|<link[^>]+href=\"http|\son[a-z]+=\"", re.sub(r"(?s)<script>.*</script>", "", page.text)
    )


def test_a_line_break_of_another_system_is_hashed_as_browsers_do() -> None:
    """They turn each into one character before anything else."""
    assert Page.of("<script>a\r\nb</script>").policy == Page.of("<script>a\nb</script>").policy
