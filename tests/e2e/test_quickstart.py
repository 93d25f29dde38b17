"""The quick start's scripts as its page has them, and the guide's, against a service that runs."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reservation_http.quickstart import LANGUAGES
from tests.conftest import wait_for
from tests.e2e.conftest import Service

ROOT = Path(__file__).parents[2]

#: Lets Node.js have what a browser has; without it since its version 24.
_EVENT_SOURCE = "--experimental-eventsource"


def _command(suffix: str, script: Path) -> list[str]:
    command = {"sh": ["sh", "-eu"], "py": [sys.executable], "mjs": ["node", _EVENT_SOURCE]}[suffix]
    needs = {"sh": ["curl", "jq"], "py": [], "mjs": ["node"]}[suffix]
    missing = [name for name in needs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return [*command, str(script)]


@contextmanager
def _running(command: list[str]) -> Iterator[Callable[[str], None]]:
    """Runs a command, and lets one wait for a word that it prints."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=environment
    )
    printed = io.StringIO()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            printed.write(line)

    def see(word: str) -> None:
        wait_for(lambda: word in printed.getvalue() or process.poll() is not None, 30)
        assert word in printed.getvalue(), printed.getvalue()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield see
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("suffix", LANGUAGES)
def test_the_quick_start_sells_a_seat_and_watches_the_others(service: Service, tmp_path: Path, suffix: str) -> None:
    """By the script that the service gives away: from nothing to a reserved seat, and to somebody else's hold."""
    script = tmp_path / f"quickstart.{suffix}"
    script.write_text(service.http.get(f"/docs/quickstart.{suffix}").text, encoding="utf-8")
    with _running(_command(suffix, script)) as see:
        see("snapshot" if suffix != "py" else "'seats': 'AAAAAAAAAAAR")
        event = service.http.get("/events", params={"limit": 1}).json()["events"][0]["id"]
        assert service.http.get(f"/seats/get/{event}-12").json()["status"] == "Reserved"
        service.buyer().hold(f"{event}-13").result()
        see(f"{event}-13")


@pytest.mark.parametrize("language", ["js", "python"])
def test_the_guide_keeps_a_copy_right(service: Service, tmp_path: Path, language: str) -> None:
    """By its code, as it stands there: what it shows is what the service says."""
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"```{language}\n(.*?)```", guide, re.DOTALL)
    api, event = str(service.http.base_url).rstrip("/"), service.create(10)
    use = {
        "js": f'watch("{api}", "{event}", (seats, sequence) => console.log(sequence, seats.join("")));',
        "python": f'import httpx\napi = httpx.Client(base_url="{api}", follow_redirects=True)\n'
        f'watch(api, "{event}", lambda seats, sequence: print(sequence, "".join(seats)))',
    }[language]
    suffix = {"js": "mjs", "python": "py"}[language]
    script = tmp_path / f"guide.{suffix}"
    script.write_text(f"{code}\n{use}\n", encoding="utf-8")
    buyer = service.buyer()
    with _running(_command(suffix, script)) as see:
        see("0 AAAAAAAAAA")
        buyer.hold(f"{event}-3").result()
        see("1 AAHAAAAAAA")
        buyer.hold(f"{event}-10").result()
        buyer.reserve(f"{event}-10").result()
        see("3 AAHAAAAAAR")
        buyer.release(f"{event}-3")
        see("4 AAAAAAAAAR")
