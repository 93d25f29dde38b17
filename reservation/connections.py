"""From a URL to the servers that it names."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from reservation.clients import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S, options
from reservation.cluster import Cluster
from reservation.servers import Servers
from reservation.topology import Topology
from reservation.urls import Target, parse


def connect(
    url: str, *, connections: int, decode: bool = True, timeout_s: float = SOCKET_TIMEOUT_S, block_s: float = 0
) -> Servers:
    """The servers that a URL names. Nothing is sent yet. Raises ValueError if it names none.

    Arguments:
        url: see reservation.urls.
        connections: most connections at once to each; a caller beyond that waits up to a second.
        decode: whether replies are `str` rather than `bytes` (Dramatiq wants bytes).
        timeout_s: longest wait for a reply, seconds.
        block_s: how long blocking commands may block, seconds, on top of the usual wait.
    """
    target = parse(url)
    common = options(connections=connections, decode=decode, timeout_s=timeout_s, block_s=block_s)
    if target.kind == "cluster":
        return Cluster(Topology(target), common)
    if target.kind == "sentinel":
        return Servers(lambda common: _watched_pool(target, common), common)
    where: dict[str, Any] = {"db": target.database, **target.options}
    if target.addresses:
        where["host"], where["port"] = target.addresses[0]
    return Servers(
        lambda common: redis.BlockingConnectionPool(timeout=CONNECT_TIMEOUT_S, **(common | where)),  # type: ignore[no-untyped-call]  # redis-py types few
        common,
    )


def _watched_pool(target: Target, common: dict[str, Any]) -> redis.ConnectionPool:
    """Connections to the primary that Sentinels name, asked each time that one is made."""
    where = {"db": target.database, **target.client_options}
    patience_s = common["socket_connect_timeout"]
    asking = {
        "socket_timeout": patience_s,
        "socket_connect_timeout": patience_s,
        # The next one is asked at once instead: redis-py's own would sleep for up to ten seconds, several times over.
        "retry": Retry(NoBackoff(), 0),
        **{name: value for name, value in where.items() if name.startswith("ssl")},
        **target.sentinel_options,
    }
    sentinels = Sentinel(list(target.addresses), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # redis-py types few
    return SentinelConnectionPool(target.service, sentinels, **(common | where))  # type: ignore[no-untyped-call]  # redis-py types few
