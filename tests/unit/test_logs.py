"""Logs: a user's UUID is a credential, and never stands in one in full."""

import subprocess
import sys
from pathlib import Path

import pytest

from reservation.logs import mask_users
from tests.e2e.conftest import clean_environment

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


_LOG = """
import os, logging, structlog
from reservation import logs
from reservation.settings import Settings
logs.configure(Settings(_env_file=None, redis_url="redis://x/0", log_format="json"), "test")
structlog.get_logger().warning("lost")
logging.getLogger("other").warning("lost too")
os.write(2, b"went on")
os._exit(0)
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    """A full disk must not end a heartbeat, or turn an answer into an error."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", _LOG], env=clean_environment(), stdout=full, stderr=subprocess.PIPE, check=True
        )
    assert done.stderr == b"went on"
