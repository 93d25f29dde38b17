"""A server that hangs: accepts connections, and answers nobody."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from reservation.embedded import EmbeddedRedis
from reservation.errors import StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import wait_for
from tests.servers import hanging


def test_one_call_finds_out_for_all(make_settings: Callable[..., Settings]) -> None:
    """An accept that gets no reply says which job it may have made, and why; the connections that were idle
    meanwhile are given up, so that no later call has to wait for a reply on one that is dead."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
        store = Store.connect(make_settings(redis_url=server.url()), connections=8)
        observer = redis.Redis.from_url(server.url())
        event = store.events.create("Opening night", 10)
        store.seats.accept_hold(SeatId(event.id, 1), str(uuid4()), JobId.new(event.id))
        pool: Any = store.client.connection_pool
        idle = [pool.get_connection() for _ in range(4)]
        for connection in idle:
            pool.release(connection)
        assert len(observer.client_list()) == 6  # of them one that the last call left ready, and the observer
        job = JobId.new(event.id)
        with hanging(server), pytest.raises(StateUnavailable) as refused:
            store.seats.accept_hold(SeatId(event.id, 2), str(uuid4()), job)
        assert refused.value.job_id == str(job)
        assert isinstance(refused.value.__cause__, redis.TimeoutError)
        wait_for(lambda: len(observer.client_list()) == 1)
        assert store.seats.get(SeatId(event.id, 3)).status == "Available"
        observer.close()
        pool.disconnect()
