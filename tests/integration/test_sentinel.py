"""A primary that Sentinels watch over, and what a failover does to those who use it."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from actors.queue import Queue
from reservation.checks import check
from reservation.errors import StateUnavailable
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.rounds import RoundPipelining
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import wait_for, working
from tests.sentinels import sentinels


def test_a_new_primary_is_found(make_settings: Callable[..., Settings]) -> None:
    """Seats that were held stay so, and others are held, by the same processes, although the Sentinel that is
    asked first is gone with the primary."""
    with sentinels() as watched:
        settings = make_settings(redis_url=watched.url())
        assert settings.queue_url == watched.url(1)
        assert not [finding for finding in check(settings) if finding.fatal]
        store = Store.connect(settings, connections=4, pipelining=RoundPipelining)
        queue = Queue.connect(settings, store, connections=8)
        event, user = store.events.create("Opening night", 20), str(uuid4())

        def hold(number: int) -> bool:
            job, seat = JobId.new(event.id), SeatId(event.id, number)
            store.seats.accept_hold(seat, user, job)
            queue.send_jobs([(job, Task("HOLD_SEAT", (seat,), user, ""))])
            wait_for(lambda: store.jobs.read(job).ended)
            return store.seats.get(seat).user == user

        def hold_again() -> bool:
            try:
                return hold(2)
            except StateUnavailable:
                return False

        with working(store, queue):
            assert hold(1)
            before = watched.primary()
            assert store.client.wait(1, 5_000) == 1
            watched.kill(before)
            wait_for(lambda: watched.primary() != before, 30)
            wait_for(hold_again, 30)
            assert store.seats.get(SeatId(event.id, 1)).user == user
        store.servers.close()
        queue.broker.servers.close()


def test_sentinels_that_do_not_answer_are_not_waited_for(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for the primary may be the API's loop: the next is asked at once, and then it is an outage."""
    slept: list[float] = []
    monkeypatch.setattr("redis.retry.sleep", slept.append)
    store = Store.connect(make_settings(redis_url="redis+sentinel://127.0.0.1:1,127.0.0.1:2/seats"), connections=1)
    with pytest.raises(StateUnavailable):
        store.events.load("event")
    assert sum(slept) < 1
    store.servers.close()
