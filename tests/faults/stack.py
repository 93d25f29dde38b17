"""The whole service, as `reservation up` runs it, with a proxy before each of its two Redis servers."""

import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Literal

from reservation.embedded import EmbeddedRedis
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import wait_for
from tests.e2e.conftest import Process, Service
from tests.faults.durability import SyncedServer, servers
from tests.faults.proxy import Proxy
from tests.receiver import receiving

Role = Literal["api", "worker", "sweeper", "webhooks"]

#: The rules of the sale: holds that end while the clients watch, and that can be refreshed for not much longer;
#: deadlines that outlast every fault.
HOLD_S, MAX_HOLD_S, MAX_HELD, DEADLINE_S = 2.0, 3.0, 4, 15.0


class Stack:
    """A running service: two API processes on one port, two workers, two sweepers, and one process that sends
    webhooks. Enter it to start it.

    Arguments:
        folder: where data and logs go.

    Attributes:
        state, broker: its servers. The state's is watched as it writes, where strace is installed (`traced`).
        state_proxy, broker_proxy: between the service and each of them.
        store: on the state, past the proxy.
        receiver: of webhooks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = ExitStack()
        self.traced = shutil.which("strace") is not None
        self.state: EmbeddedRedis = (
            SyncedServer(folder / "s", next(iter(servers().values()))) if self.traced else EmbeddedRedis(folder / "s")
        )
        self.broker = EmbeddedRedis(folder / "q", durable=False)
        self.state_proxy = Proxy(folder / "s" / "redis.sock")
        self.broker_proxy = Proxy(folder / "q" / "redis.sock")

    def __enter__(self) -> "Stack":
        with ExitStack() as parts:
            for part in (self.state, self.broker, self.state_proxy, self.broker_proxy):
                parts.enter_context(part)
            self.receiver = parts.enter_context(receiving())
            urls = {"REDIS_URL": self.state_proxy.url(), "BROKER_URL": self.broker_proxy.url()}
            self._service = Service(
                self._folder,
                **urls,
                API_PROCESSES="2",
                WORKER_PROCESSES="2",
                WEBHOOKS="on",
                WEBHOOK_ALLOW_PRIVATE="on",
                LOCK_EXPIRATION_TIME=str(HOLD_S),
                MAX_HOLD_TIME=str(MAX_HOLD_S),
                MAX_HELD_SEATS=str(MAX_HELD),
                HOLD_JOB_DEADLINE=str(DEADLINE_S),
                RESERVE_JOB_DEADLINE=str(DEADLINE_S),
            )
            parts.callback(self._service.close)
            other = Process("sweeper", cwd=self._folder, **urls)
            parts.callback(other.stop)
            settings = Settings(_env_file=None, redis_url=self.state.url())  # type: ignore[call-arg]  # pydantic-settings takes more than mypy sees
            self.store = Store.connect(settings, connections=2)
            parts.callback(self.store.servers.close)
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    @property
    def url(self) -> str:
        """Where the API is."""
        return str(self._service.http.base_url).rstrip("/")

    def pids(self, role: Role) -> list[int]:
        """The processes of a role that `up` looks after."""
        return sorted(pid for pid, line in self._service.process.family().items() if f" {role}" in line)

    def kill(self, role: Role, choices: Random) -> None:
        """Ends a process of a role, to be started again by `up`."""
        wait_for(lambda: self.pids(role))
        os.kill(choices.choice(self.pids(role)), signal.SIGKILL)
