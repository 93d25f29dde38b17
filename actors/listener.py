"""Hears holds expire and has their seats freed at once.

Redis publishes a lock's expiry to whoever listens, once and without a trace: nothing depends on it
being heard. Several listeners may run; of their messages for one event one is on its way at a time.
"""

import math
import threading
import time
from queue import Empty, SimpleQueue

import redis
import structlog

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
#: How often it is looked which servers there are, seconds.
_LOOK_S = 1.0
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
                log.warning("listener broke off", error=str(error.__cause__ or error))
                self._stopping.wait(_RECONNECT_S)
            except Exception:  # whatever somebody's key is called, it must not end the listening
                log.exception("listener failed")
                self._stopping.wait(_RECONNECT_S)

    def _listen(self) -> None:
        said: SimpleQueue[str] = SimpleQueue()
        ears: dict[tuple[object, object], _Ear] = {}
        look_at = -math.inf
        heard: set[str] = set()
        due = -math.inf  # when messages may next be sent
        try:
            while not self._stopping.is_set():
                if (now := time.monotonic()) >= look_at:
                    look_at = now + _LOOK_S
                    self._attend(ears, said)
                wait_s = min(due - time.monotonic(), _WAIT_S) if heard else _WAIT_S
                event_id = _next(said, max(0.0, wait_s))
                now = time.monotonic()
                if event_id is not None:
                    if not heard:
                        due = max(due, now + _GATHER_S)
                    heard.add(event_id)
                if heard and now >= due:
                    heard = self._release(heard)
                    due = now + _PAUSE_S
        finally:
            for ear in ears.values():
                ear.done.set()
            for ear in ears.values():
                ear.join()

    def _attend(self, ears: "dict[tuple[object, object], _Ear]", said: "SimpleQueue[str]") -> None:
        """Sees to it that each server that has seats is heard, and no other."""
        found = {_place(server): server for server in self._store.servers.primaries()}
        for place in ears.keys() - found.keys():
            ears.pop(place).done.set()
        for place in found.keys() - ears.keys():
            ears[place] = _Ear(found[place], said)
            ears[place].start()

    def _release(self, event_ids: set[str]) -> set[str]:
        """Sends the events' messages. Returns those that have one on its way: a hold that ends while that is
        carried out may be too late for it."""
        claimed = self._store.seats.claim_releases(sorted(event_ids))
        if claimed and not self._queue.send_releases(claimed):
            return set()  # the sweeper finds them once the queue can be reached
        return event_ids.difference(claimed)


class _Ear(threading.Thread):
    """Hears one server: what it announces, it announces to those who are connected to it.

    Attributes:
        done: set when it shall end.
    """

    def __init__(self, server: redis.Redis, said: "SimpleQueue[str]") -> None:
        super().__init__(name="ear", daemon=True)
        self._server, self._said = server, said
        self.done = threading.Event()

    def run(self) -> None:
        """Listens, connecting again whenever the connection is lost."""
        while not self.done.is_set():
            try:
                self._listen()
            except redis.RedisError as error:
                log.warning("listener lost its connection", error=str(error))
                self.done.wait(_RECONNECT_S)
            except Exception:
                log.exception("listener failed")
                self.done.wait(_RECONNECT_S)

    def _listen(self) -> None:
        database = self._server.get_connection_kwargs().get("db", 0)
        with self._server.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.psubscribe(keys.LOCK_PATTERN.format(db=database))
            while not self.done.is_set():
                message = pubsub.get_message(timeout=_WAIT_S)
                if message is None or message["data"] != "expired":
                    continue
                seat = keys.seat_of_lock(message["channel"])
                if seat is not None:
                    self._said.put(seat.event)


def _place(server: redis.Redis) -> tuple[object, object]:
    """Where a server is; of one that stands alone it does not matter."""
    where = server.get_connection_kwargs()
    return where.get("host"), where.get("port")


def _next(said: "SimpleQueue[str]", wait_s: float) -> str | None:
    """The event of a hold that has expired; None if none does for a while."""
    try:
        return said.get(timeout=wait_s) if wait_s else said.get_nowait()
    except Empty:
        return None
