"""With an API and a worker only: nobody listens for expiries, nobody sweeps."""

import time
from pathlib import Path
from uuid import uuid4

import pytest

from reservation.embedded import EmbeddedRedis
from reservation_client import Client, HoldLost
from tests.e2e.conftest import Process, free_port


def test_a_hold_of_one_second_ends_after_one_second(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """By the server's clock the seat then lists as free, cannot be reserved, and another user can hold it."""
    port, environment = free_port(), {"REDIS_URL": redis_server.url(), "LOCK_EXPIRATION_TIME": "1"}
    api = Process("api", cwd=tmp_path, PORT=str(port), **environment)
    worker = Process("worker", cwd=tmp_path, **environment)
    api.wait_for_line("serving")
    worker.wait_for_line("worker started")
    with Client(f"http://127.0.0.1:{port}", user=uuid4()) as client:
        event = client.create_event("Opening night", 10)
        (held,) = client.hold(f"{event.id}-1").result()
        assert client.list_free_seats(event.id).total == 9
        # The clock is the same here: the server runs on this machine.
        assert held.expires_at
        time.sleep(max(0, held.expires_at / 1000 - time.time()) + 0.002)
        assert client.list_free_seats(event.id).total == 10
        with pytest.raises(HoldLost, match="not-on-hold"):
            client.reserve(held.id)
        assert client.call("GET", "/health/ready")["sweepers"] == 0
        assert client.acting_for(uuid4()).hold(held.id).result()
    assert (api.stop(), worker.stop()) == (0, 0)
