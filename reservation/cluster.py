"""A Redis Cluster: which node a command goes to, and what to do when it is another by now.

redis-py's own client connects when it is made, waits and asks again by itself, and keeps a table of all slots for each
client; here nothing but a reply may be waited for, and threads, probes and blocked consumers share one view of the
cluster (docs/decisions/0018-cluster.md).
"""

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from reservation.clients import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S, Command, Sent, Server
from reservation.servers import Servers
from reservation.topology import Topology
from reservation.urls import Address

#: How often a command is sent again because another node has its slot.
_REDIRECTS = 4


def slot_of(command: Command) -> int:
    """The slot of a command's first key; of a script that has none, 0: any node will do."""
    at = 3 if command[0] == "EVALSHA" else 1
    key = command[at] if len(command) > at and command[at - 1] != 0 else ""
    return key_slot(key.encode() if isinstance(key, str) else cast(bytes, key))


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
        self._nodes: dict[Address, Server] = {}
        self._lock = threading.Lock()

    @cached_property
    def client(self) -> redis.Redis:
        """redis-py's client, for tools and tests: it connects now, and may wait for long."""
        nodes = [ClusterNode(host, port) for host, port in self._topology.primaries()]  # type: ignore[no-untyped-call]  # redis-py types few
        decode = self._common["decode_responses"]
        cluster = RedisCluster(startup_nodes=nodes, decode_responses=decode, **self._topology.client_options)
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
        if "client" in vars(self):  # it has connections of its own
            self.client.close()
        for node in list(self._nodes.values()):
            node.connection_pool.disconnect()

    def node(self, address: Address) -> Server:
        """A client of a node."""
        node = self._nodes.get(address)
        if node is None:
            with self._lock:
                if address not in self._nodes:
                    where = {"host": address[0], "port": address[1], **self._topology.options}
                    pool = redis.BlockingConnectionPool(timeout=CONNECT_TIMEOUT_S, **(self._common | where))  # type: ignore[no-untyped-call]  # redis-py types few
                    self._nodes[address] = Server(pool)
                node = self._nodes[address]
        return node

    def sent_to(self, address: Address, commands: Sequence[Command]) -> Sent:
        """Sends commands to a node, whichever it is that they concern."""
        return Sent(self.node(address), commands, self._scripts)

    def owners(self, commands: Sequence[Command]) -> list[Address]:
        """The node of each command. Raises redis.RedisError if it cannot be told."""
        return [self._topology.owner(slot_of(command)) for command in commands]

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

    def redirected(self, commands: Sequence[Command], replies: list[Any], asked: list[Address]) -> bool:
        """Sends those commands again that another node has to be asked; puts the replies in the places of those before.
        Returns whether there were any.

        Arguments:
            asked: of whom each reply is.
        """
        asks: dict[tuple[Address, bool], list[int]] = {}
        for place, reply in enumerate(replies):
            if isinstance(reply, redis.exceptions.AskError):  # MovedError is one
                moved = isinstance(reply, redis.exceptions.MovedError)
                # Without a host it is another port of the one that was asked (cluster-preferred-endpoint-type).
                address = asked[place] = (reply.host or asked[place][0], reply.port)
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
        self._sent: list[tuple[list[int], Sent]] = []
        self._asked: list[Address] = []
        try:
            self._asked = cluster.owners(commands)
        except redis.RedisError as error:
            self._replies = [error] * len(commands)
            return
        places: dict[Address, list[int]] = {}
        for place, address in enumerate(self._asked):
            places.setdefault(address, []).append(place)
        for address, found in places.items():
            if not cluster.is_down(address):
                self._sent.append((found, cluster.sent_to(address, [commands[place] for place in found])))

    def replies(self) -> list[Any]:
        """The replies, of which some, or all, may be errors."""
        for places, sent in self._sent:
            replies = self._cluster.noted(self._asked[places[0]], sent.replies())
            for place, reply in zip(places, replies, strict=True):
                self._replies[place] = reply
        for _ in range(_REDIRECTS):
            if not self._cluster.redirected(self._commands, self._replies, self._asked):
                break
        return self._replies
