"""Selling seats over HTTP, with real API, worker and sweeper processes."""

import json
import re
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from reservation_client import Client, Problem
from tests.conftest import wait_for
from tests.e2e.conftest import Process, Service

ROOT = Path(__file__).parents[2]


def _hold(buyer: Client, seat: str) -> str:
    """Why the seat was refused, at once or by the job; empty if it was not."""
    try:
        buyer.hold(seat).result()
    except Problem as refused:
        return refused.type
    return ""


def test_a_hundred_buyers_for_one_seat(service: Service) -> None:
    """In parallel: exactly one gets it, and everybody is told."""
    event = service.create(10)
    with ThreadPoolExecutor(32) as pool:
        told = list(pool.map(lambda _: _hold(service.buyer(), f"{event}-1"), range(100)))
    assert Counter(told) == {"": 1, "seat-held": 99}


def test_one_buyer_for_thirty_seats(service: Service) -> None:
    """In parallel: exactly six."""
    event, user = service.create(30), str(uuid4())
    with ThreadPoolExecutor(30) as pool:
        told = list(pool.map(lambda n: _hold(service.buyer(user), f"{event}-{n}"), range(1, 31)))
    assert Counter(told) == {"": 6, "limit-reached": 24}
    assert service.buyer().list_free_seats(event).total == 24


def test_a_hold_that_runs_out_is_free_again(service: Service) -> None:
    """Listed at once, and written down soon after by listener and sweeper."""
    event, user = service.create(10), str(uuid4())
    assert service.buyer(user).hold(f"{event}-1").result()
    assert service.buyer().list_free_seats(event).total == 9
    wait_for(lambda: service.buyer().list_free_seats(event).total == 10, 8)
    log = service.folder / "logs" / "worker.log"
    wait_for(lambda: any(event in line and "holds expired" in line for line in log.read_text().splitlines()), 8)
    assert service.buyer().hold(f"{event}-1").result()


def test_the_logs_follow_a_request_and_name_no_user(service: Service) -> None:
    """JSON lines, the request id in the API's and the worker's, the job id in both."""
    event, user = service.create(10), str(uuid4())
    queued = service.http.post(
        "/seats/hold", json={"id": f"{event}-1", "UUID": user}, headers={"X-Request-ID": "follow-me"}
    )
    job = service.result(queued)
    service.http.get(f"/seats/get/{user}")
    logs = service.folder / "logs"
    for name in ("server.log", "worker.log"):
        wait_for(lambda: "follow-me" in (logs / name).read_text())  # noqa: B023 - called at once
    for name in ("server.log", "worker.log"):
        lines = [json.loads(line) for line in (logs / name).read_text().splitlines()]
        assert any(line.get("request_id") == "follow-me" and line.get("job_id") == job["id"] for line in lines), name
    for path in logs.iterdir():
        assert user not in path.read_text(errors="replace")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk-through is made of curl commands")
def test_the_readme_walks_through_a_sale(service: Service) -> None:
    """Its curl commands, as they stand there, one after the other, against this service."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    script = "\n".join(blocks)
    assert script.count("curl") >= 6
    script = script.replace("http://127.0.0.1:3000", f"http://127.0.0.1:{service.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=service.folder, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert '"status":"Reserved"' in done.stdout


def test_the_demo_sells_out_without_a_double(service: Service) -> None:
    """`reservation demo`, in small: no seat has two owners, every job ended."""
    demo = Process("demo", "--url", str(service.http.base_url), "--seats", "40", "--buyers", "80", cwd=service.folder)
    assert demo.process.wait(60) == 0, demo.output
    demo.stop()
