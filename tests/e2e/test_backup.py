"""Backup and restore as docs/operations.md has them, of a server that is selling meanwhile."""

import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from reservation import embedded, keys
from reservation.embedded import EmbeddedRedis
from reservation_client import ReservationClientError, SeatUnavailable
from tests import servers
from tests.conftest import wait_for
from tests.e2e.conftest import Service

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
SEATS = 3_000

pytestmark = pytest.mark.skipif(shutil.which("redis-cli") is None, reason="the documented commands use redis-cli")


def _documented(says: str) -> str:
    """The commands of the document that have this in them."""
    blocks = re.findall(r"```sh\n(.*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    block: str
    (block,) = (block for block in blocks if says in block)
    return block


def _run(commands: str, **environment: str) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


class Sale:
    """Sells an event's seats, each to somebody else, and notes who has been told so: seats and users."""

    def __init__(self, service: Service, event: str) -> None:
        self.told: dict[str, str] = {}
        self.wrong: list[str] = []
        self._service, self._event = service, event
        self._numbers = iter(range(1, SEATS + 1))
        self._lock, self.stop = threading.Lock(), threading.Event()

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def run(self) -> None:
        while not self.stop.is_set() and (number := self._next()) is not None:
            seat, user = f"{self._event}-{number}", str(uuid4())
            buyer = self._service.buyer(user)
            try:
                buyer.hold(seat).result()
                # Every fourth is only held: what a backup has of it is a hold that ends.
                if number % 4:
                    buyer.reserve(seat).result()
                    self.told[seat] = user
            except ReservationClientError as error:
                self.wrong.append(repr(error))
                return

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.run) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()


@pytest.mark.parametrize("how", ["appendonlydir", "--rdb"])
def test_what_was_sold_before_the_backup_is_sold_after_the_restore(how: str) -> None:
    """By either way: nobody who was told of a reservation before loses it, nothing of theirs is sold again, and the
    logs say of which seats the restored server does not know that they were sold."""
    with ExitStack() as parts:
        root = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="reservation-")))
        backup, restored = root / "backup", root / "new"
        queue = parts.enter_context(EmbeddedRedis(root / "q", durable=False))
        state = parts.enter_context(EmbeddedRedis(root / "s"))
        if how == "appendonlydir" and not (root / "s" / "appendonlydir").exists():
            pytest.skip("before Redis 7 there is one file: appendonly.aof")
        first = Service(root, REDIS_URL=state.url(), BROKER_URL=queue.url(), LOCK_EXPIRATION_TIME="3")
        parts.callback(first.close)
        event = first.create(SEATS)
        sale = Sale(first, event)
        cli = {"REDIS": f"redis-cli -s {embedded.socket_path(root / 's')}", "DATA": str(root / "s")}
        with sale.running():
            wait_for(lambda: len(sale.told) > 30 or sale.wrong)
            before = dict(sale.told)
            _run(_documented(how), BACKUP=str(backup), **cli)
            during = len(sale.told)
            wait_for(lambda: len(sale.told) > during + 30 or sale.wrong)
        assert sale.wrong == []
        with redis.Redis.from_url(state.url()) as client:
            assert client.config_get("auto-aof-rewrite-percentage") == {"auto-aof-rewrite-percentage": "100"}
        servers.kill(state)
        first.close()

        restored.mkdir()
        if how == "--rdb":
            shutil.copy(backup / "dump.rdb", restored)
            new = parts.enter_context(EmbeddedRedis(restored, ["--appendonly", "no"]))
            _run(_documented("appendonly yes\n"), REDIS=f"redis-cli -s {embedded.socket_path(restored)}")
        else:
            shutil.copytree(backup / "appendonlydir", restored / "appendonlydir")
            new = parts.enter_context(EmbeddedRedis(restored))
        second = Service(root, REDIS_URL=new.url(), BROKER_URL=queue.url(), LOCK_EXPIRATION_TIME="3")
        parts.callback(second.close)

        # What was under way when it was copied is ended first.
        with redis.Redis.from_url(new.url()) as client:
            wait_for(lambda: not client.zcard(keys.jobs(event)), 30)

        def owner(seat: str, user: str) -> str:
            found = second.buyer(user).get_seat(seat)
            # One that was only held by then is shown to its holder too, until that ends.
            return found.user if found.status == "Reserved" else ""

        assert before, "something was sold before"
        assert {seat: owner(seat, user) for seat, user in before.items()} == before
        lost = {seat for seat, user in sale.told.items() if owner(seat, user) != user}
        assert lost, "something was sold after"
        began = (backup / "began").read_text().strip()
        lines = [json.loads(line) for line in (root / "logs" / "worker.log").read_text().splitlines()]
        ended = [line for line in lines if line["event"] == "job ended" and line["code"] == "reserved"]
        assert lost <= {line["seat"] for line in ended if line["timestamp"] >= began}
        assert all(line["request_id"] and line["job_id"] for line in ended)

        # All else is free, or comes free when its hold ends; and what is sold is not sold again.
        kept = {seat for seat in sale.told if seat not in lost}
        others = {f"{event}-{number}" for number in range(1, SEATS + 1)} - kept

        def free() -> set[str]:
            return {seat.id for seat in second.buyer().list_free_seats(event).seats}

        wait_for(lambda: free() == others, 30)
        rival = second.buyer()
        for seat in before:
            with pytest.raises(SeatUnavailable):
                rival.hold(seat).result()
        bought = {seat: str(uuid4()) for seat in sorted(others)[:10]}
        for seat, user in bought.items():
            second.buyer(user).hold(seat).result()
            second.buyer(user).reserve(seat).result()
        assert free() == others - set(bought)
        assert {seat: owner(seat, user) for seat, user in (before | bought).items()} == before | bought
