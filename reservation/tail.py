"""Waits for the changes of events as they are written: a blocking read for each event, with redis-py's asyncio clients.

Each has a connection of its own, because no command of a cluster names the streams of two slots.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from reservation import keys
from reservation.changes import read
from reservation.clients import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S
from reservation.models import Change
from reservation.topology import Topology
from reservation.urls import Address, Target, parse

#: Entries that are read in one go: so many take Redis about a millisecond.
_MOST = 500
#: How often a read is sent again because another node has its slot.
_REDIRECTS = 4


class _Servers(Protocol):
    """Where streams are."""

    async def read(self, key: str, position: str, block_ms: int) -> Any:
        """What XREAD answers. Raises redis.RedisError."""

    async def close(self) -> None:
        """Closes all connections."""


class Tail:
    """Reads on where a reader of an event's changes is.

    Arguments:
        url: of the state; see reservation.urls.
        most: how many events are read at once.
        block_s: how long a read waits for a change at most, seconds.
    """

    def __init__(self, url: str, most: int, block_s: float) -> None:
        self._block_ms = round(block_s * 1000)
        common = {
            "max_connections": most,
            "decode_responses": True,
            "socket_timeout": SOCKET_TIMEOUT_S + block_s,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            # Who reads asks again in any case, and says so.
            "retry": Retry(NoBackoff(), 0),
        }
        target = parse(url)
        self._servers: _Servers
        if target.kind == "cluster":
            self._servers = _Nodes(Topology(target), common)
        elif target.kind == "sentinel":
            self._servers = _One(Redis.from_pool(_watched_pool(target, common)))
        else:
            pool = BlockingConnectionPool.from_url(url, timeout=CONNECT_TIMEOUT_S, **common)
            self._servers = _One(Redis.from_pool(pool))

    async def after(self, event_id: str, position: str) -> tuple[str, Sequence[Change] | None]:
        """What comes after an entry of the event's stream, None if not all of it can be told, and where that leaves the
        reader; waits until there is something, but not for longer than it is set to. Raises redis.RedisError.

        Arguments:
            position: the entry's id.
        """
        streams = await self._servers.read(keys.changes(event_id), position, self._block_ms)
        entries = streams[0][1] if streams else []
        changes = read(event_id, [(at, entry["seq"], entry["seat"], entry["cause"]) for at, entry in entries])
        return entries[-1][0] if entries else position, changes

    async def close(self) -> None:
        """Closes its connections."""
        await self._servers.close()


class _One:
    """A server, or the primary that Sentinels name."""

    def __init__(self, server: Redis) -> None:
        self._server = server

    async def read(self, key: str, position: str, block_ms: int) -> Any:
        return await self._server.xread({key: position}, count=_MOST, block=block_ms)

    async def close(self) -> None:
        pool = self._server.connection_pool
        await self._server.aclose()  # type: ignore[union-attr, unused-ignore]  # redis-py types few
        if isinstance(pool, SentinelConnectionPool):  # which leaves those to the Sentinels open
            await asyncio.gather(*(sentinel.aclose() for sentinel in pool.sentinel_manager.sentinels))


class _Nodes:
    """The nodes of a cluster, as reservation.cluster has them, for who waits without a thread. With redis-py's own
    client, readers of nodes that answer would wait for one that does not, and every fifth slot that has moved would
    cut all of them off.

    Arguments:
        topology: who has which slots.
        common: redis-py's options for connections to each node.
    """

    def __init__(self, topology: Topology, common: dict[str, Any]) -> None:
        self._topology, self._common = topology, common
        self._nodes: dict[Address, Redis] = {}
        self._known = False

    async def read(self, key: str, position: str, block_ms: int) -> Any:
        if not self._known:  # nobody has to be asked afterwards
            await asyncio.to_thread(self._topology.primaries)
            self._known = True
        address, asking = self._topology.owner(key_slot(key.encode())), False
        for _ in range(_REDIRECTS):
            if address in self._topology.down:
                raise redis.ConnectionError("the node does not answer")
            try:
                # On one connection, whichever it is.
                async with self._node(address).pipeline(transaction=False) as sent:
                    if asking:
                        sent.execute_command("ASKING")
                    sent.xread({key: position}, count=_MOST, block=block_ms)
                    return (await sent.execute())[-1]
            except AskError as error:  # MovedError is one
                # Without a host it is another port of the one that was asked (cluster-preferred-endpoint-type).
                address, asking = (error.host or address[0], error.port), not isinstance(error, MovedError)
                if not asking:
                    self._topology.move(error.slot_id, address)
            except ClusterDownError:
                self._topology.suspect()
                raise
            except (redis.ConnectionError, redis.TimeoutError) as error:
                self._topology.lose(address, error)
                raise
        raise redis.ConnectionError("the nodes do not agree on who has the slot")

    async def close(self) -> None:
        await asyncio.gather(*(node.aclose() for node in self._nodes.values()))  # type: ignore[attr-defined, unused-ignore]  # redis-py types few

    def _node(self, address: Address) -> Redis:
        node = self._nodes.get(address)
        if node is None:
            host, port = address
            options = self._topology.client_options | self._common
            node = self._nodes[address] = Redis(host=host, port=port, **options)
        return node


def _watched_pool(target: Target, common: dict[str, Any]) -> SentinelConnectionPool:
    """Connections to the primary that Sentinels name, as reservation.connections has them."""
    where = {"db": target.database, **target.client_options}
    asking = {
        "socket_timeout": CONNECT_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        **{name: value for name, value in where.items() if name.startswith("ssl")},
        **target.sentinel_options,
    }
    sentinels = Sentinel(list(target.addresses), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # redis-py types few
    return SentinelConnectionPool(target.service, sentinels, **(common | where))  # type: ignore[no-untyped-call]  # redis-py types few
