"""The quick start's scripts, as its page has them, against a service that runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reservation_http.quickstart import LANGUAGES, source, steps
from tests.e2e.conftest import Service

#: Lets Node.js have what a browser has; without it since its version 24.
_EVENT_SOURCE = "--experimental-eventsource"


def _command(suffix: str, script: Path) -> list[str]:
    command = {"sh": ["sh", "-eu"], "py": [sys.executable], "mjs": ["node", _EVENT_SOURCE]}[suffix]
    needs = {"sh": ["curl", "jq"], "py": [], "mjs": ["node"]}[suffix]
    missing = [name for name in needs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return [*command, str(script)]


@pytest.mark.parametrize("suffix", LANGUAGES)
def test_the_quick_start_sells_a_seat(service: Service, tmp_path: Path, suffix: str) -> None:
    """From nothing to a reserved seat, by the script that the service gives away."""
    text = service.http.get(f"/docs/quickstart.{suffix}").text
    watching = steps(source(suffix))["watch"].splitlines()[0]
    assert f":{service.port}" in text
    assert watching in text
    script = tmp_path / f"quickstart.{suffix}"
    script.write_text(text.partition(watching)[0], encoding="utf-8")
    done = subprocess.run(_command(suffix, script), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    event = done.stdout.split()[0]
    assert service.http.get(f"/seats/get/{event}-12").json()["status"] == "Reserved"
    assert done.stdout.count("Reserved") >= 1
