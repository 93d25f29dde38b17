"""Hears holds expire and has their seats freed at once.

Redis publishes a lock's expiry to whoever listens, once and without a trace: nothing depends on it
being heard. Several listeners may run; of their messages for one event one is in flight at a time.
"""

import threading
import time

import redis
import structlog
from redis.client import PubSub

from actors.queue import Queue
from reservation import keys
from reservation.errors import StateUnavailable
from reservation.store import Store

log = structlog.get_logger()

#: How long to wait for a notification before looking whether to stop, seconds.
_WAIT_S = 0.5
#: How long after the first notification more of them are gathered, seconds: holds that were taken together
#: end together, and one message frees all of an event's.
_GATHER_S = 0.005
#: How long to wait before connecting again, seconds.
_RECONNECT_S = 1.0


class Listener(threading.Thread):
    """Turns expiry notifications into `release_expired` messages.

    Arguments:
        store: whose database's notifications it hears.
        queue: where its messages go.
        stopping: set when it shall end.
    """

    def __init__(self, store: Store, queue: Queue, stopping: threading.Event) -> None:
        super().__init__(name="listener", daemon=True)
        self._store = store
        self._queue = queue
        self._stopping = stopping

    def run(self) -> None:
        """Listens until told to stop, connecting again whenever the connection is lost."""
        while not self._stopping.is_set():
            try:
                self._listen()
            except (redis.RedisError, StateUnavailable) as error:
                log.warning("listener lost its connection", error=str(error.__cause__ or error))
                self._stopping.wait(_RECONNECT_S)
            except Exception:  # whatever somebody's key is called, it must not end the listening
                log.exception("listener failed")
                self._stopping.wait(_RECONNECT_S)

    def _listen(self) -> None:
        database = self._store.client.get_connection_kwargs().get("db", 0)
        with self._store.client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.psubscribe(keys.LOCK_PATTERN.format(db=database))
            while not self._stopping.is_set():
                self._release(_gather(pubsub))

    def _release(self, event_ids: set[str]) -> None:
        """Sends the events' messages, but for those that are on their way: such a message frees what was due when
        its claim was found, because whoever gives the claim back looks once more."""
        for event_id in event_ids:
            # Once one could not be sent, each further one would wait for the same time-out.
            if self._store.seats.claim_release(event_id) and not self._queue.send_release(event_id):
                break


def _gather(pubsub: PubSub) -> set[str]:
    """The events in which holds expire soon after one another; empty if none does for a while."""
    heard: set[str] = set()
    until = time.monotonic() + _WAIT_S
    while (left := until - time.monotonic()) > 0:
        message = pubsub.get_message(timeout=left)
        if message is None or message["data"] != "expired":
            continue
        seat = keys.seat_of_lock(message["channel"])
        if seat is not None:
            if not heard:
                until = time.monotonic() + _GATHER_S
            heard.add(seat.event)
    return heard
