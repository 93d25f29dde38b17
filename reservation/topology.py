"""Who has which slots of a Redis Cluster, and which nodes do not answer."""

import threading
import time
from bisect import bisect_right
from typing import Any, NamedTuple

import redis
import structlog

from reservation.clients import CONNECT_TIMEOUT_S, Command, Sent, Server, options
from reservation.urls import Address, Target

log = structlog.get_logger()

#: How long to wait before the nodes are asked again who has which slots, seconds: at first, and at most.
_LOOK_S, _LOOK_MAX_S = 0.1, 0.5


def _shown(address: Address) -> str:
    return "{}:{}".format(*address)


class _Slots(NamedTuple):
    """Who has which slots: from `starts[i]` on, `owners[i]`; None: nobody."""

    starts: list[int]
    owners: list[Address | None]

    def owner(self, slot: int) -> Address | None:
        return self.owners[bisect_right(self.starts, slot) - 1]


class Topology:
    """Who has which slots, as was last said. Read when first asked for, and again, by a thread of its own, once there
    is reason to believe that it has changed.

    Arguments:
        target: some of the nodes, and how to connect.

    Attributes:
        options: redis-py's, for connections to nodes.
        client_options: the same for a client that makes its connections itself.
        down: nodes that did not answer, and have not since. Nobody waits for them again.
    """

    def __init__(self, target: Target) -> None:
        self.options, self.client_options = target.options, target.client_options
        self._named = target.addresses
        self._slots: _Slots | None = None
        self._moved: dict[int, Address] = {}
        self._lock = threading.Lock()
        self._suspect = threading.Event()
        self._looking = False
        self.down: frozenset[Address] = frozenset()

    def owner(self, slot: int) -> Address:
        """The node that has a slot. Raises redis.ConnectionError if no node says, ClusterDownError if none has it."""
        if (moved := self._moved.get(slot)) is not None:
            return moved
        owner = (self._slots or self.read()).owner(slot)
        if owner is None:
            self.suspect()
            raise redis.exceptions.ClusterDownError("no node has this slot")
        return owner

    def primaries(self) -> list[Address]:
        """The nodes that have slots. Raises redis.ConnectionError if no node says."""
        slots = self._slots or self.read()
        return sorted({owner for owner in slots.owners if owner is not None})

    def move(self, slot: int, owner: Address) -> None:
        """Notes what a node said that had the slot before."""
        self._moved[slot] = owner
        self.suspect()

    def suspect(self) -> None:
        """Has the nodes asked again, soon."""
        self._suspect.set()
        with self._lock:
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="topology", daemon=True).start()

    def lose(self, address: Address, error: Exception) -> None:
        """Notes that a node does not answer. Whether it does again is looked at together with the slots."""
        if address not in self.down:
            self.down |= {address}
            log.warning("cluster node does not answer", node=_shown(address), error=str(error))
        self.suspect()

    def read(self) -> _Slots:
        """Asks the nodes, and believes the first that says it is in touch with the others; if none is, the first.
        Raises redis.ConnectionError if none says."""
        known = [] if self._slots is None else self.primaries()
        moved = list(self._moved)
        doubtful: _Slots | None = None
        last: redis.RedisError | None = None
        for address in dict.fromkeys([*(a for a in known if a not in self.down), *self._named, *known]):
            try:
                slots, in_touch = self._ask(address)
            except redis.RedisError as error:
                last = error
                continue
            if in_touch:
                return self._believe(slots, moved)
            doubtful = doubtful or slots
        if doubtful is not None:
            return self._believe(doubtful, moved)
        raise redis.ConnectionError(f"no node of the cluster answers ({last})") from last

    def _believe(self, slots: _Slots, moved: list[int]) -> _Slots:
        if slots != self._slots:
            log.info("cluster", nodes=len({owner for owner in slots.owners if owner}))
        self._slots = slots
        for slot in moved:  # it has been said since
            self._moved.pop(slot, None)
        return slots

    def _ask(self, address: Address) -> tuple[_Slots, bool]:
        """What a node says, and whether it is in touch with the others: one that is not may have been replaced."""
        reply, info = self._say(address, ("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))
        if not reply:
            raise redis.exceptions.ClusterDownError("it knows of no node that has slots")
        starts: list[int] = []
        owners: list[Address | None] = []
        free = 0
        for first, last, (host, port, *_), *_ in sorted(reply):
            if first > free:
                starts, owners = [*starts, free], [*owners, None]
            # A node that does not know what it is called is where it was asked.
            starts, owners = [*starts, first], [*owners, (host or address[0], port)]
            free = last + 1
        return _Slots([*starts, free], [*owners, None]), "cluster_state:ok" in info

    def _say(self, address: Address, *commands: Command) -> list[Any]:
        common = options(connections=1, decode=True, timeout_s=CONNECT_TIMEOUT_S, block_s=0)
        pool = redis.ConnectionPool(host=address[0], port=address[1], **self.options | common)
        try:
            replies = Sent(Server(pool), commands, []).replies()
        finally:
            pool.disconnect()
        for reply in replies:
            if isinstance(reply, redis.RedisError):
                raise reply
        return replies

    def _look(self) -> None:
        wait_s = _LOOK_S
        while True:
            self._suspect.wait()
            self._suspect.clear()
            before = self._slots, self.down
            try:
                self.read()
                self._find_again()
            except redis.RedisError:
                pass  # nobody answers, which is logged already
            except Exception:  # nobody else would look after those that are gone
                log.exception("topology not read")
            if self.down:
                self._suspect.set()
            changed = before != (self._slots, self.down)
            wait_s = _LOOK_S if changed else min(2 * wait_s, _LOOK_MAX_S)
            time.sleep(wait_s)

    def _find_again(self) -> None:
        """Asks those that did not answer whether they do."""
        for address in self.down.intersection(self.primaries()):
            try:
                self._say(address, ("PING",))
            except redis.RedisError:
                continue
            self.down -= {address}
            log.info("cluster node answers", node=_shown(address))
        self.down = self.down.intersection(self.primaries())
