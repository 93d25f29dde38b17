"""Redis Cluster: which node a command goes to, and what to do when it is another by now.

redis-py's own client connects when it is made, waits and asks again by itself, and keeps a table of all slots for each
client; here nothing but a reply may be waited for, and threads, probes and blocked consumers share one view of the
cluster (docs/decisions/0018-cluster.md).
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple, cast

import redis
import structlog
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from reservation.clients import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S, Command, Sent, options
from reservation.servers import Servers, bare
from reservation.urls import Address, Target

log = structlog.get_logger()

#: How often a command is sent again because another node has its slot.
_REDIRECTS = 4
#: How long to wait before the nodes are asked again who has which slots, seconds: at first, and at most.
_LOOK_S, _LOOK_MAX_S = 0.1, 0.5


def slot_of(command: Command) -> int:
    """The slot of a command's first key; of a script that has none, 0: any node will do."""
    at = 3 if command[0] == "EVALSHA" else 1
    key = command[at] if len(command) > at and command[at - 1] != 0 else ""
    return key_slot(key.encode() if isinstance(key, str) else cast(bytes, key))


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
        down: nodes that did not answer, and have not since. Nobody waits for them again.
    """

    def __init__(self, target: Target) -> None:
        self.options = target.options
        self._named = target.addresses
        self._slots: _Slots | None = None
        self._moved: dict[int, Address] = {}
        self._lock = threading.Lock()
        self._suspect = threading.Event()
        self._looking = False
        self.down: frozenset[Address] = frozenset()

    def owner(self, slot: int) -> Address:
        """The node that has a slot. Raises redis.ConnectionError if no node says, ClusterDownError if none has it."""
        if self._moved and slot in self._moved:
            return self._moved[slot]
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
        """Asks the nodes. Raises redis.ConnectionError if none says."""
        known = [] if self._slots is None else self.primaries()
        moved = list(self._moved.items())
        last: redis.RedisError | None = None
        for address in dict.fromkeys([*(a for a in known if a not in self.down), *self._named, *known]):
            try:
                slots = self._ask(address)
            except redis.RedisError as error:
                last = error
                continue
            if slots != self._slots:
                log.info("cluster", nodes=len({owner for owner in slots.owners if owner}), asked=_shown(address))
            self._slots = slots
            for slot, _ in moved:  # it has been said since
                self._moved.pop(slot, None)
            return slots
        raise redis.ConnectionError(f"no node of the cluster answers ({last})") from last

    def _ask(self, address: Address) -> _Slots:
        reply = self._say(address, ("CLUSTER", "SLOTS"))
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
        return _Slots([*starts, free], [*owners, None])

    def _say(self, address: Address, command: Command) -> Any:
        common = options(connections=1, decode=True, timeout_s=CONNECT_TIMEOUT_S, block_s=0)
        pool = redis.ConnectionPool(host=address[0], port=address[1], **self.options | common)
        try:
            (reply,) = Sent(bare(pool), [command], []).replies()
        finally:
            pool.disconnect()
        if isinstance(reply, redis.RedisError):
            raise reply
        return reply

    def _look(self) -> None:
        wait_s = _LOOK_S
        while True:
            self._suspect.wait()
            self._suspect.clear()
            before = self._slots, self.down
            with suppress(redis.RedisError):
                self.read()
                self._find_again()
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


class Cluster(Servers):
    """A cluster's nodes.

    Arguments:
        topology: who has which slots.
        common: redis-py's options for connections to each node.
    """

    many = True

    def __init__(self, topology: Topology, common: dict[str, Any]) -> None:  # no pool before a node is known
        self._topology, self._common = topology, common
        self._scripts = []
        self._nodes: dict[Address, redis.Redis] = {}
        self._lock = threading.Lock()

    @cached_property
    def client(self) -> redis.Redis:
        """redis-py's client, for tools and tests: it connects now, and may wait for long."""
        nodes = [ClusterNode(host, port) for host, port in self._topology.primaries()]  # type: ignore[no-untyped-call]
        decode = self._common["decode_responses"]
        cluster = RedisCluster(startup_nodes=nodes, decode_responses=decode, **self._topology.options)
        return cast(redis.Redis, cluster)

    def begin(self, commands: Sequence[Command]) -> "_Spread":
        """Sends commands in one go to the nodes that they concern. Those for a node that is known not to answer are
        not sent. Their replies may be errors; nothing is raised."""
        return _Spread(self, commands)

    def probe(self, command: Command) -> Any:
        """Asks each node whether it answers, but for those that are known not to. Returns one's reply. Raises
        redis.RedisError if none does."""
        asked = [address for address in self._topology.primaries() if not self.is_down(address)]
        sent = [(address, self.sent_to(address, [command])) for address in asked]
        replies = [reply for address, on_its_way in sent for reply in self.noted(address, on_its_way.replies())]
        for reply in replies:
            if not isinstance(reply, redis.RedisError):
                return reply
        raise replies[0] if replies else redis.ConnectionError("no node of the cluster answers")

    def primaries(self) -> list[redis.Redis]:
        """A client of each node that has slots. Raises redis.RedisError if no node says which they are."""
        return [
            redis.Redis(connection_pool=self.node(address).connection_pool) for address in self._topology.primaries()
        ]

    def beside(self, connections: int = 1, timeout_s: float = SOCKET_TIMEOUT_S, block_s: float = 0) -> "Cluster":
        """The same with connections of its own, the same scripts, and what is known of the nodes."""
        cluster = Cluster(self._topology, self._own(connections, timeout_s, block_s))
        cluster._scripts = self._scripts
        return cluster

    def close(self) -> None:
        """Closes all connections."""
        for node in list(self._nodes.values()):
            node.connection_pool.disconnect()

    def node(self, address: Address) -> redis.Redis:
        """A client of a node."""
        node = self._nodes.get(address)
        if node is None:
            with self._lock:
                if address not in self._nodes:
                    where = {"host": address[0], "port": address[1], **self._topology.options}
                    pool = redis.BlockingConnectionPool(timeout=CONNECT_TIMEOUT_S, **(self._common | where))  # type: ignore[no-untyped-call]
                    self._nodes[address] = bare(pool)
                node = self._nodes[address]
        return node

    def sent_to(self, address: Address, commands: Sequence[Command]) -> Sent:
        """Sends commands to a node, whichever it is that they concern."""
        return Sent(self.node(address), commands, self._scripts)

    def owners(self, commands: Sequence[Command]) -> dict[Address, list[int]]:
        """The commands of each node, by their places. Raises redis.RedisError if it cannot be told."""
        owners: dict[Address, list[int]] = {}
        for place, command in enumerate(commands):
            owners.setdefault(self._topology.owner(slot_of(command)), []).append(place)
        return owners

    def is_down(self, address: Address) -> bool:
        """Whether a node is known not to answer."""
        return address in self._topology.down

    def noted(self, address: Address, replies: list[Any]) -> list[Any]:
        """A node's replies; notes what they say about it."""
        for reply in replies:
            if isinstance(reply, redis.ConnectionError | redis.TimeoutError):
                self._topology.lose(address, reply)
            elif isinstance(reply, redis.exceptions.ClusterDownError):
                self._topology.suspect()
        return replies

    def redirected(self, commands: Sequence[Command], replies: list[Any]) -> bool:
        """Sends those commands again that another node has to be asked, or that were lost with a connection; puts the
        replies in the places of those before. Returns whether there were any."""
        asks: dict[tuple[Address, bool], list[int]] = {}
        for place, reply in enumerate(replies):
            if isinstance(reply, redis.exceptions.AskError):  # MovedError is one
                moved, address = isinstance(reply, redis.exceptions.MovedError), (reply.host, reply.port)
                if moved:
                    self._topology.move(reply.slot_id, address)
                asks.setdefault((address, not moved), []).append(place)
        for (address, asking), places in asks.items():
            again: list[Command] = [commands[place] for place in places]
            if asking:  # it holds for one command
                again = [part for command in again for part in (("ASKING",), command)]
            found = self.noted(address, self.sent_to(address, again).replies())
            for place, reply in zip(places, found[1::2] if asking else found, strict=True):
                replies[place] = reply
        return bool(asks)


class _Spread:
    """Commands on their way to the nodes that they concern."""

    def __init__(self, cluster: Cluster, commands: Sequence[Command]) -> None:
        self._cluster, self._commands = cluster, commands
        self._replies: list[Any] = [redis.ConnectionError("the node does not answer")] * len(commands)
        self._sent: list[tuple[Address, list[int], Sent]] = []
        try:
            owners = cluster.owners(commands)
        except redis.RedisError as error:
            self._replies = [error] * len(commands)
            return
        for address, places in owners.items():
            if not cluster.is_down(address):
                sent = cluster.sent_to(address, [commands[place] for place in places])
                self._sent.append((address, places, sent))

    def replies(self) -> list[Any]:
        """The replies, of which some, or all, may be errors."""
        for address, places, sent in self._sent:
            for place, reply in zip(places, self._cluster.noted(address, sent.replies()), strict=True):
                self._replies[place] = reply
        for _ in range(_REDIRECTS):
            if not self._cluster.redirected(self._commands, self._replies):
                break
        return self._replies
