"""A primary with a replica, and three Sentinels that watch over them."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from reservation.embedded import EmbeddedRedis, binary
from tests.cluster import free_port
from tests.servers import kill
from tests.waiting import wait_for

#: What the Sentinels call it.
SERVICE = "seats"
_SENTINELS = 3
#: How long the primary may be silent before they hold it for gone, ms.
_DOWN_MS = 500


class Watched:
    """What the Sentinels watch over.

    Attributes:
        sentinels: by their ports.
        servers: by their ports: first the primary, then its replica.
    """

    def __init__(self, sentinels: dict[int, "subprocess.Popen[bytes]"], servers: dict[int, EmbeddedRedis]) -> None:
        self.sentinels, self.servers = sentinels, servers

    def url(self, database: int = 0) -> str:
        """What settings call it."""
        where = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{where}/{SERVICE}/{database}"

    def primary(self) -> int:
        """The port of the primary, as the last Sentinel says."""
        with redis.Redis(port=[*self.sentinels][-1], decode_responses=True) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(SERVICE)[1])

    def kill(self, port: int) -> None:
        """Ends a server as a crash does, and the first Sentinel with it, as if they had shared a machine."""
        kill(self.servers[port])
        next(iter(self.sentinels.values())).kill()


@contextmanager
def sentinels() -> Iterator[Watched]:
    """All of them, once the Sentinels know each other and the replica has what the primary has."""
    with ExitStack() as parts, tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        primary, replica = free_port(), free_port()
        servers = {}
        for port, options in ((primary, []), (replica, ["--replicaof", "127.0.0.1", str(primary)])):
            words = ["--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *options]
            servers[port] = parts.enter_context(EmbeddedRedis(Path(folder, str(port)), words))
        watching: dict[int, subprocess.Popen[bytes]] = {}
        for number in range(_SENTINELS):
            port = free_port()
            config = Path(folder, f"sentinel-{number}.conf")
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {_DOWN_MS}\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
            )
            command = [binary(), str(config), "--sentinel", "--logfile", str(Path(folder, f"sentinel-{number}.log"))]
            sentinel = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            parts.callback(sentinel.wait)
            parts.callback(sentinel.terminate)
            watching[port] = sentinel
        with ExitStack() as clients:
            asked = [clients.enter_context(redis.Redis(port=port, decode_responses=True)) for port in watching]
            wait_for(lambda: all(_knows_all(client) for client in asked), 30)
        with redis.Redis(port=replica, decode_responses=True) as client:
            wait_for(lambda: client.info("replication")["master_link_status"] == "up", 30)
        yield Watched(watching, servers)


def _knows_all(sentinel: redis.Redis) -> bool:
    try:
        seen: Any = sentinel.sentinel_master(SERVICE)
    except redis.RedisError:
        return False
    return bool(seen["num-other-sentinels"] == _SENTINELS - 1 and seen["num-slaves"] == 1)
