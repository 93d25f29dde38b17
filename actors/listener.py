"""Hears holds expire and has their seats freed at once.

Redis publishes a lock's expiry to whoever listens, once and without a trace: nothing depends on it
being heard. Several listeners may run; of their messages for one event one is on its way at a time.
"""

import math
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
#: How long after messages were sent the next are, at the earliest, seconds. Where holds end all the time, each
#: message frees more of them: every one costs the state's server three syncs of its disk, however few it frees.
_PAUSE_S = 0.05
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
        heard: set[str] = set()
        due = -math.inf  # when messages may next be sent
        with self._store.client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.psubscribe(keys.LOCK_PATTERN.format(db=database))
            while not self._stopping.is_set():
                wait = min(due - time.monotonic(), _WAIT_S) if heard else _WAIT_S
                event_id = _expired(pubsub, max(0.0, wait))
                now = time.monotonic()
                if event_id is not None:
                    if not heard:
                        due = max(due, now + _GATHER_S)
                    heard.add(event_id)
                if heard and now >= due:
                    heard = self._release(heard)
                    due = now + _PAUSE_S

    def _release(self, event_ids: set[str]) -> set[str]:
        """Sends the events' messages. Returns those that have one on its way: a hold that ends while that is
        carried out may be too late for it."""
        claimed = self._store.seats.claim_releases(sorted(event_ids))
        if claimed and not self._queue.send_releases(claimed):
            return set()  # the sweeper finds them once the queue can be reached
        return event_ids.difference(claimed)


def _expired(pubsub: PubSub, wait_s: float) -> str | None:
    """The event of a hold that has expired; None if none does for a while, or it was something else."""
    message = pubsub.get_message(timeout=wait_s)
    if message is None or message["data"] != "expired":
        return None
    seat = keys.seat_of_lock(message["channel"])
    return None if seat is None else seat.event
