"""Webhooks of a running service: told within moments, by a process of its own that may die."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import wait_for
from tests.e2e.conftest import COMMAND, Service, clean_environment, free_port
from tests.receiver import Receiver, receiving

ROOT = Path(__file__).parents[2]
ON = {"WEBHOOKS": "on", "WEBHOOK_ALLOW_PRIVATE": "on"}


def _sell(service: Service, event: str, *numbers: int) -> None:
    for number in numbers:
        buyer = service.buyer()
        buyer.hold(f"{event}-{number}").result()
        buyer.reserve(f"{event}-{number}").result()


def _hook(service: Service, event: str, url: str) -> dict[str, str]:
    made = service.http.post(f"/events/{event}/webhooks", json={"url": url, "types": ["seat.reserved"]})
    assert made.status_code == 201, made.text
    hook: dict[str, str] = made.json()
    return hook


def _seats(receiver: Receiver) -> set[str]:
    return {post.json["data"]["seat"].partition("-")[2] for post in receiver.posts}


def test_what_is_sold_is_told_though_its_sender_dies(make_service: Callable[..., Service]) -> None:
    """The supervisor starts another, which goes on from the log; all that is sent is signed."""
    service = make_service(**ON)
    assert service.http.get("/health/ready").json()["webhooks"] == 1
    event = service.create(20)
    with receiving() as receiver:
        hook = _hook(service, event, receiver.url())
        _sell(service, event, 1, 2)
        wait_for(lambda: _seats(receiver) == {"1", "2"})
        (pid,) = (pid for pid, line in service.process.family().items() if " webhooks" in line)
        os.kill(pid, signal.SIGKILL)
        _sell(service, event, 3, 4)
        wait_for(lambda: _seats(receiver) == {"1", "2", "3", "4"}, 30)
        for post in receiver.posts:
            post.verified(hook["secret"])
        log = service.http.get(f"/events/{event}/webhooks/{hook['id']}/deliveries").json()["deliveries"]
        assert {one["id"] for one in log} == set(receiver.ids())
    assert service.process.stop() == 0


def test_it_does_not_start_where_it_is_off(tmp_path: Path) -> None:
    """Rather than look alive and do nothing."""
    done = subprocess.run(
        [*COMMAND, "webhooks"], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "WEBHOOKS" in done.stderr


@contextmanager
def _guide(folder: Path, secret: str) -> Iterator[int]:
    """The receiver of the guide, as it stands there; its port."""
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```py\n(.*?)```", guide, re.DOTALL)
    script, port = folder / "receiver.py", free_port()
    script.write_text(code, encoding="utf-8")
    environment = clean_environment(WEBHOOK_SECRET=secret, PORT=str(port))
    with (folder / "out").open("w") as out:
        process = subprocess.Popen([sys.executable, "-u", script], env=environment, stdout=out, stderr=out)
    try:
        wait_for(lambda: _listens(port))
        yield port
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        return httpx.post(f"http://127.0.0.1:{port}/", content=b"{}").status_code == 401
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("good", [True, False])
def test_the_guide_verifies(make_service: Callable[..., Service], tmp_path: Path, good: bool) -> None:
    """By its code: what the service signed with the secret that it was given is taken, anything else is not."""
    service = make_service(**ON)
    event = service.create(10)
    secret = "whsec_" + "c2VjcmV0" * 6
    with _guide(tmp_path, secret) as port:
        body = {"url": f"http://127.0.0.1:{port}/", **({"secret": secret} if good else {})}
        hook = service.http.post(f"/events/{event}/webhooks", json=body).json()["id"]
        _sell(service, event, 7)
        log = f"/events/{event}/webhooks/{hook}/deliveries"

        def answered() -> bool:
            found = service.http.get(log).json()["deliveries"]
            return bool(found) and "statusCode" in found[0]

        wait_for(answered)
        (one,) = service.http.get(log).json()["deliveries"]
    assert (one["status"], one["statusCode"]) == (("delivered", 204) if good else ("pending", 401))
    assert (f"{event}-7" in (tmp_path / "out").read_text()) is good
