"""Waits for the changes of events as they are written: a blocking read for each event, with redis-py's asyncio clients.

Each has a connection of its own, because no command of a cluster names the streams of two slots.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from reservation import keys
from reservation.changes import read
from reservation.clients import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S
from reservation.models import Change
from reservation.urls import Target, parse

#: Entries that are read in one go: so many take Redis about a millisecond.
_MOST = 500


class Tail:
    """Reads on where a reader of an event's changes is.

    Arguments:
        url: of the state; see reservation.urls.
        most: how many events are read at once.
        block_s: how long a read waits for a change at most, seconds.
    """

    def __init__(self, url: str, most: int, block_s: float) -> None:
        self._block_ms = round(block_s * 1000)
        self._client = _client(
            url,
            {
                "max_connections": most,
                "decode_responses": True,
                "socket_timeout": SOCKET_TIMEOUT_S + block_s,
                "socket_connect_timeout": CONNECT_TIMEOUT_S,
                # Who reads asks again in any case, and says so.
                "retry": Retry(NoBackoff(), 0),
            },
        )

    async def after(self, event_id: str, position: str) -> tuple[str, Sequence[Change]]:
        """What comes after an entry of the event's stream, and where that leaves the reader; waits until there is
        something, but not for longer than it is set to. Raises redis.RedisError.

        Arguments:
            position: the entry's id.
        """
        streams: Any = await self._client.xread({keys.changes(event_id): position}, count=_MOST, block=self._block_ms)
        # By name in a list of pairs, or in a mapping, as the version of the protocol has it.
        found = streams.values() if isinstance(streams, dict) else (entries for _, entries in streams or ())
        entries = [entry for part in found for entry in (part[0] if part and isinstance(part[0], list) else part)]
        changes = [read(event_id, at, entry["seq"], entry["seat"], entry["cause"]) for at, entry in entries]
        return entries[-1][0] if entries else position, changes

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()  # type: ignore[union-attr, unused-ignore]  # redis-py types few


def _client(url: str, common: dict[str, Any]) -> "Redis | RedisCluster":
    target = parse(url)
    if target.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in target.addresses]
        return RedisCluster(startup_nodes=nodes, **(target.client_options | common))
    if target.kind == "sentinel":
        return Redis.from_pool(_watched_pool(target, common))
    pool = BlockingConnectionPool.from_url(url, timeout=CONNECT_TIMEOUT_S, **common)
    return Redis.from_pool(pool)


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
