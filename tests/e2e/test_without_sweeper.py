"""With an API and a worker only: nobody listens for expiries, nobody sweeps."""

import time
from pathlib import Path
from uuid import uuid4

import httpx

from reservation.embedded import EmbeddedRedis
from tests.conftest import wait_for
from tests.e2e.conftest import Process, free_port


def test_a_hold_of_one_second_ends_after_one_second(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """By the server's clock the seat then lists as free, cannot be reserved, and another user can hold it."""
    port, environment = free_port(), {"REDIS_URL": redis_server.url(), "LOCK_EXPIRATION_TIME": "1"}
    api = Process("api", cwd=tmp_path, PORT=str(port), **environment)
    worker = Process("worker", cwd=tmp_path, **environment)
    api.wait_for_line("serving")
    worker.wait_for_line("worker started")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        event = http.post("/events/create", json={"name": "Opening night", "totalSeats": 10}).json()["id"]
        holder = {"id": f"{event}-1", "UUID": str(uuid4())}

        def hold(body: dict[str, str]) -> dict[str, object]:
            path = http.post("/seats/hold", json=body).json()["statusEndpoint"]
            wait_for(lambda: http.get(path).json()["status"] == "completed")
            result: dict[str, object] = http.get(path).json()["result"]
            return result

        assert hold(holder)["success"]
        held = http.get(f"/seats/get/{event}-1").json()
        assert http.get(f"/seats/list/{event}").json()["total"] == 9
        # The clock is the same here: the server runs on this machine.
        time.sleep(max(0, held["expiresAt"] / 1000 - time.time()) + 0.002)
        assert http.get(f"/seats/list/{event}").json()["total"] == 10
        refused = http.post("/seats/reserve", json=holder)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-on-hold")
        assert http.get("/health/ready").json()["sweepers"] == 0
        assert hold({**holder, "UUID": str(uuid4())})["success"]
    assert (api.stop(), worker.stop()) == (0, 0)
