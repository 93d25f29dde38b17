"""A real Redis Cluster: nodes on ports of this machine, which tests kill, start again, and move slots between."""

import os
import random
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from reservation import keys
from reservation.embedded import EmbeddedRedis
from tests.waiting import wait_for

_SLOTS = 16_384
#: How long a node may be silent before the others hold it for gone, ms.
NODE_TIMEOUT_MS = 1_000
#: How often a slot is moved, seconds, and with how many keys at most.
_MOVE_S, _MOST_KEYS = 1.0, 300
#: Keys that are moved at a time.
_BATCH = 20


class Node:
    """A server of a cluster.

    Attributes:
        port: where it listens.
        id: what the others call it.
    """

    def __init__(self, folder: Path, require_full_coverage: str = "no") -> None:
        self.port = free_port()
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            "cluster-require-full-coverage": require_full_coverage,
            "cluster-replica-validity-factor": 0,
            "repl-diskless-sync-delay": 0,
        }
        self._server = EmbeddedRedis(
            folder, [part for name, value in options.items() for part in (f"--{name}", str(value))]
        )
        self._server.start()
        self.client = redis.Redis(port=self.port, decode_responses=True)
        self.id = str(self.say("CLUSTER", "MYID"))

    def say(self, *command: object) -> Any:
        """Sends it a command."""
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py types few

    def info(self) -> dict[str, str]:
        """What it says of its cluster."""
        said = self.say("CLUSTER", "INFO")
        return said if isinstance(said, dict) else dict(line.split(":", 1) for line in str(said).split() if ":" in line)

    @property
    def pid(self) -> int:
        return int(self.client.info("server")["process_id"])

    def kill(self) -> None:
        """Ends it as a crash does."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        self._server.stop()

    def pause(self) -> None:
        """Has it do nothing more, until `go_on`."""
        self._paused = self.pid
        os.kill(self._paused, signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it go on."""
        os.kill(self._paused, signal.SIGCONT)

    def start(self) -> None:
        """Starts it again, with the data that it had."""
        self._server.start()

    def stop(self) -> None:
        """Stops it."""
        self.client.close()
        with suppress(ProcessLookupError, AttributeError):
            self.go_on()
        self._server.stop()


class RedisCluster:
    """Three primaries, with a replica each if told so.

    Attributes:
        still: who has it, sees no slot moved by `moving`.
    """

    def __init__(self, nodes: Sequence[Node], primaries: int) -> None:
        self.nodes = list(nodes)
        self.still = threading.Lock()
        first, *others = self.nodes
        share = -(-_SLOTS // primaries)
        for number, node in enumerate(self.nodes[:primaries]):
            node.say("CLUSTER", "ADDSLOTS", *range(share * number, min(share * (number + 1), _SLOTS)))
            node.say("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in others:
            node.say("CLUSTER", "MEET", "127.0.0.1", first.port)
        wait_for(lambda: all(len(node.say("CLUSTER", "NODES")) >= len(self.nodes) for node in self.nodes), 30)
        for number, node in enumerate(self.nodes[primaries:]):
            primary = self.nodes[number % primaries]
            wait_for(lambda node=node, primary=primary: primary.id in str(node.say("CLUSTER", "NODES")), 30)  # type: ignore[misc]  # bound now
            node.say("CLUSTER", "REPLICATE", primary.id)
        self.wait_until_whole()
        if primaries < len(self.nodes):
            wait_for(lambda: all(self._linked(node) for node in self.nodes[primaries:]), 30)

    def wait_until_whole(self) -> None:
        """Until every node takes every other for one that is there. One that has come back is missed by some for a
        while: were another to go meanwhile, most would be gone, and nobody would answer."""
        wait_for(lambda: all(self._whole(node) for node in self.nodes), 30)

    @staticmethod
    def _whole(node: Node) -> bool:
        info = node.info()
        return info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == _SLOTS

    @staticmethod
    def _linked(node: Node) -> bool:
        return bool(node.client.info("replication")["master_link_status"] == "up")

    def url(self) -> str:
        """What settings call it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def primaries(self) -> list[Node]:
        """The nodes that have slots, by what one of those that answer says."""
        ports = {port for _, _, (_, port, *_), *_ in self._slots()}
        return [node for node in self.nodes if node.port in ports]

    def _slots(self) -> list[Any]:
        for node in self.nodes:
            with suppress(redis.RedisError):
                client = redis.Redis(port=node.port, socket_timeout=1, retry=Retry(NoBackoff(), 0))
                client.response_callbacks.clear()
                try:
                    return cast(list[Any], client.execute_command("CLUSTER", "SLOTS"))  # type: ignore[no-untyped-call]  # redis-py types few
                finally:
                    client.close()
        raise AssertionError("no node answers")

    def owner(self, slot: int) -> Node:
        """The node that has a slot."""
        (port,) = [port for first, last, (_, port, *_), *_ in self._slots() if first <= slot <= last]
        return next(node for node in self.nodes if node.port == port)

    def move(self, slot: int, to: Node, *, half: bool = False) -> None:
        """Moves a slot with all its keys, as `redis-cli --cluster reshard` does, while it is in use.

        Arguments:
            half: leave it on its way, with about half of its keys; `finish` ends it.
        """
        source = self.owner(slot)
        if source is to:
            return
        to.say("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.say("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        left = int(source.say("CLUSTER", "COUNTKEYSINSLOT", slot)) // 2 if half else 0
        while int(source.say("CLUSTER", "COUNTKEYSINSLOT", slot)) > left:
            names = source.say("CLUSTER", "GETKEYSINSLOT", slot, _BATCH)
            if names:
                source.say("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "KEYS", *names)
        if not half:
            self.finish(slot, source, to)

    def finish(self, slot: int, source: Node, to: Node) -> None:
        """Ends the move of a slot."""
        while names := source.say("CLUSTER", "GETKEYSINSLOT", slot, _BATCH):
            source.say("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "KEYS", *names)
        for node in (to, source, *self.primaries()):
            node.say("CLUSTER", "SETSLOT", slot, "NODE", to.id)


@contextmanager
def moving(nodes: RedisCluster) -> Iterator[None]:
    """Moves a slot that is in use, now this one and now that, from node to node for as long."""
    done = threading.Event()
    choices = random.Random(1)  # noqa: S311 - no secret

    def move() -> None:
        while not done.wait(_MOVE_S):
            source, to = choices.sample(nodes.nodes, 2)
            with nodes.still, suppress(redis.RedisError):
                if (name := source.client.randomkey()) is not None:
                    number = key_slot(str(name).encode())
                    # What takes longer than a caller is patient, has a test of its own.
                    few = int(source.say("CLUSTER", "COUNTKEYSINSLOT", number)) < _MOST_KEYS
                    if few and nodes.owner(number) is source:
                        nodes.move(number, to)

    mover = threading.Thread(target=move, name="mover")
    mover.start()
    yield
    done.set()
    mover.join()


def slot(event_id: str) -> int:
    """The slot of an event."""
    return key_slot(keys.event(event_id).encode())


@contextmanager
def cluster(primaries: int = 3, replicas: int = 0) -> Iterator[RedisCluster]:
    """A cluster of one's own.

    Arguments:
        replicas: of each primary.
    """
    with ExitStack() as parts:
        nodes = []
        for _ in range(primaries * (1 + replicas)):
            folder = parts.enter_context(tempfile.TemporaryDirectory(prefix="reservation-", ignore_cleanup_errors=True))
            nodes.append(Node(Path(folder)))
            parts.callback(nodes[-1].stop)
        yield RedisCluster(nodes, primaries)


def free_port() -> int:
    """One that is free, and 10,000 above it that of the nodes among themselves."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - no secret
        with ExitStack() as probes, suppress(OSError):
            for number in (port, port + 10_000):
                probe = probes.enter_context(socket.socket())
                probe.bind(("127.0.0.1", number))
            return port
