"""What the `type` of a problem leads to."""

import re
from html import unescape
from pathlib import Path

import pytest
from falcon import testing

from reservation.codes import Code
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
