"""How long a client would wait, as it says in `Prefer`."""

import pytest
from falcon import Request, testing

from reservation_http.waiting import preferred_wait


@pytest.mark.parametrize(
    ("given", "wait_s"),
    [
        (None, 0),
        ("", 0),
        ("wait=10", 10),
        ("WAIT = 10", 10),
        ('wait="10"', 10),
        ("wait=0", 0),
        ("wait=007", 7),
        ("wait=31", 30),
        ("wait=999999999", 30),
        ("respond-async, wait=5", 5),
        ('foo="a, wait=9", wait=5', 5),
        ("wait=5; mood=calm, return=minimal", 5),
        ("wait=5, wait=20", 5),
        ("wait=soon, wait=20", 0),
        ("wait", 0),
        ("wait=", 0),
        ("wait; a=5", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=+5", 0),
        ("wait=5 s", 0),
        ('wait="5', 0),
        ("wait=٥", 0),
        ("wait=" + "9" * 5_000, 0),
        ("wait-for-me=5", 0),
        ("handling=lenient", 0),
        (',,;"', 0),
    ],
)
def test_a_preference_is_read_or_ignored(given: str | None, wait_s: int) -> None:
    """As RFC 7240 has it: the first counts, and what cannot be understood is as if it were not there."""
    headers = {} if given is None else {"Prefer": given}
    assert preferred_wait(Request(testing.create_environ(headers=headers))) == wait_s
