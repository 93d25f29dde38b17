"""A TCP proxy between a service and its Redis that does to the network what networks do."""

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")

#: SO_LINGER on, for no time: a close is a reset (socket(7)).
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Counters:
    """What passed, and how often each fault hit something: one that hit nothing was not injected.

    Attributes:
        connections: connections that were made to the proxy.
        bytes_to_target: bytes that the target was given.
        bytes_to_clients: bytes that clients were given.
        bytes_delayed: bytes of both directions that were kept back for a while.
        connections_cut: connections that `cut` or `refuse` reset.
        connections_refused: new connections that were closed at once.
        replies_dropped: replies of `drop_reply` that no client got.
        bytes_swallowed: bytes that were taken and never delivered, replies that were dropped included.
    """

    connections: int = 0
    bytes_to_target: int = 0
    bytes_to_clients: int = 0
    bytes_delayed: int = 0
    connections_cut: int = 0
    connections_refused: int = 0
    replies_dropped: int = 0
    bytes_swallowed: int = 0


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes on what it gets, less the faults.

    Faults can be switched while it runs, from any thread, and are in force when the call returns;
    what is on its way meets them too. Different ones may be on at the same time.

    Arguments:
        target: a Unix socket's path, or `host:port`. It may be down, and come back.
    """

    def __init__(self, target: str | Path) -> None:
        self.target = str(target)
        self.counters = Counters()
        self.port = 0
        self.delay_s = 0.0
        self.refusing = False
        self.swallowing = False
        self.drops = 0
        self.drop_silently = False
        self.links: set[_Link] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def url(self, db: int = 0) -> str:
        """The URL of the target's logical database, by way of the proxy."""
        return f"redis://127.0.0.1:{self.port}/{db}"

    def delay(self, ms: float) -> None:
        """Delivers data this much later, in each direction. It stays in order, and keeps flowing."""

        def change() -> None:
            self.delay_s = ms / 1000

        self._do(change)

    def cut(self) -> None:
        """Resets all present connections; new ones are fine."""
        self._do(self._cut)

    def _cut(self) -> None:
        for link in self.links:
            self.counters.connections_cut += link.client in link.open
            link.reset()

    def refuse(self) -> None:
        """Cuts the present connections, and resets each new one as soon as it is made."""

        def change() -> None:
            self.refusing = True
            self._cut()

        self._do(change)

    def drop_reply(self, n: int = 1, *, silently: bool = False) -> None:
        """Loses the next replies that the target sends; what was asked for has been done by then.

        Arguments:
            n: of how many; each ends its connection, so they are of that many connections.
            silently: leave the connection open, with nothing passing any more: its client waits in
                vain. Otherwise cut it: its client knows at once.
        """

        def change() -> None:
            self.drops, self.drop_silently = n, silently

        self._do(change)

    def black_hole(self) -> None:
        """Accepts connections and takes bytes, but delivers nothing; present connections included."""

        def change() -> None:
            self.swallowing = True
            for link in self.links:
                link.dead = True

        self._do(change)

    def heal(self) -> None:
        """Ends all faults, and resets the connections that lost bytes: they cannot be resumed."""

        def change() -> None:
            self.delay_s, self.drops, self.refusing, self.swallowing = 0.0, 0, False, False
            for link in self.links:
                if link.dead:
                    link.reset()

        self._do(change)

    def start(self) -> None:
        """Starts to listen."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        self._server = self._wait(self._loop.create_server(lambda: _Link(self).client, "127.0.0.1", 0, backlog=1024))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Resets every connection and ends. No thread and no socket is left."""
        if self._loop is None:
            return
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def __enter__(self) -> "Proxy":
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {cast(asyncio.Task[Any], asyncio.current_task())}
        for task in tasks:  # connections that are being made
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in self.links:
            link.reset()
        while self.links:
            await asyncio.sleep(0)

    def _do(self, change: Callable[[], None]) -> None:
        """Makes a change where everything else happens: in the loop's thread."""

        async def run() -> None:
            change()

        self._wait(run())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None, "the proxy is not running"
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Link:
    """A client's connection and the one to the target that goes with it.

    Attributes:
        dead: nothing is delivered any more.
        open: its ends that are connected.
    """

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.client, self.target = _End(self), _End(self)
        self.open: set[_End] = set()
        self.dead = False
        self._on_the_way: deque[tuple[float, _End, bytes]] = deque()

    def opened(self, end: "_End") -> None:
        self.open.add(end)
        if end is self.target:
            if self.client in self.open:
                self.client.transport.resume_reading()
            else:  # it was reset meanwhile
                self.reset()
            return
        self.proxy.counters.connections += 1
        self.proxy.links.add(self)
        if self.proxy.refusing:
            self.proxy.counters.connections_refused += 1
            self.reset()
        elif self.proxy.swallowing:
            self.dead = True
        else:
            self.client.transport.pause_reading()
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop, address = asyncio.get_running_loop(), self.proxy.target
        try:
            if "/" in address:
                await loop.create_unix_connection(lambda: self.target, address)
            else:
                host, _, port = address.rpartition(":")
                await loop.create_connection(lambda: self.target, host, int(port))
        except OSError:
            self.reset()  # the nearest to a refusal that is left

    def closed(self, end: "_End") -> None:
        self.open.discard(end)
        if not self.open:
            self.proxy.links.discard(self)

    def reset(self) -> None:
        """Ends both connections at once. What is on its way is lost."""
        self._on_the_way.clear()
        for end in self.open:
            end.reset()

    def send(self, to: "_End", data: bytes) -> None:
        """Sends data, or the end of it (nothing), on its way."""
        delay_s = self.proxy.delay_s
        if delay_s:
            self.proxy.counters.bytes_delayed += len(data)
        self._on_the_way.append((asyncio.get_running_loop().time() + delay_s, to, data))
        if len(self._on_the_way) == 1:
            self._deliver_due()

    def _deliver_due(self) -> None:
        # In order, also when the delay is shortened: what is first has to go first.
        loop = asyncio.get_running_loop()
        while self._on_the_way:
            due, to, data = self._on_the_way[0]
            if due > loop.time():
                loop.call_at(due, self._deliver_due)
                return
            self._on_the_way.popleft()
            self._deliver(to, data)

    def _deliver(self, to: "_End", data: bytes) -> None:
        proxy = self.proxy
        if to not in self.open:
            return
        if data and to is self.client and proxy.drops and not self.dead:
            proxy.drops -= 1
            proxy.counters.replies_dropped += 1
            self.dead = True
            if not proxy.drop_silently:
                proxy.counters.bytes_swallowed += len(data)
                self.reset()
                return
        if self.dead:
            proxy.counters.bytes_swallowed += len(data)
            # Nor does a client hear that the target has hung up. That it is gone itself ends the link.
            if not data and to is self.target:
                to.reset()
        elif data:
            to.transport.write(data)
            if to is self.client:
                proxy.counters.bytes_to_clients += len(data)
            else:
                proxy.counters.bytes_to_target += len(data)
        else:
            to.transport.close()


class _End(asyncio.Protocol):
    """One end of a link: what it receives is sent to the other."""

    transport: asyncio.Transport

    def __init__(self, link: _Link) -> None:
        self._link = link

    @property
    def _peer(self) -> "_End":
        return self._link.target if self is self._link.client else self._link.client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._link.opened(self)

    def data_received(self, data: bytes) -> None:
        self._link.send(self._peer, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.closed(self)
        self._link.send(self._peer, b"")

    def pause_writing(self) -> None:
        self._peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self._peer.transport.resume_reading()

    def reset(self) -> None:
        if not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
