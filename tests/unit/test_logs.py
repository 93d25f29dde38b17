"""Logs: a user's UUID is a credential, and never stands in one in full."""

import pytest

from reservation.logs import mask_users

USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"


@pytest.mark.parametrize(
    "text", [USER, f"/seats/get/{USER}", f"message hold('{USER.upper()}') failed", f"x{USER}0", USER.replace("-", "")]
)
def test_a_uuid_is_shortened_wherever_it_stands(text: str) -> None:
    """Its first eight digits remain, enough to follow one user through a log."""
    shown = mask_users(None, "info", {"event": text})["event"]
    assert USER[9:] not in shown.lower()
    assert USER.replace("-", "")[8:] not in shown.lower()
    assert USER[:8] in shown.lower()


def test_a_request_id_stays_whole() -> None:
    """A balancer's is often a UUID, and has to be found again."""
    assert mask_users(None, "info", {"request_id": USER}) == {"request_id": USER}
