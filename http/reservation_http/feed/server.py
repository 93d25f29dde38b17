"""Serves the stream service's application on uvicorn."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from reservation import lifeline, memory, metrics, signals
from reservation.clients import SOCKET_TIMEOUT_S
from reservation.settings import Settings
from reservation.store import Store
from reservation.tail import Tail
from reservation_http import sockets
from reservation_http.feed.app import create_app
from reservation_http.feed.connection import Connection
from reservation_http.feed.hub import MOST_EVENTS, Hub
from reservation_http.feed.topic import HEARTBEAT_S

log = structlog.get_logger()

#: Threads that ask the state for pictures, and the limits.
_CONNECTIONS = 8
#: How often it is looked whether to stop, and shown what there is, seconds.
_LOOK_S = 0.1
#: How long answers that are under way may take once it stops, seconds.
DRAIN_S = 5
#: What is sent and not taken, bytes, and how long it may be, ms: of whom the network has lost nothing is heard.
_SEND_BUFFER, _UNTAKEN_MS = 64 * 1024, 30_000


def listen(settings: Settings) -> socket.socket:
    """A listening socket, as the API has one. Raises ListenError."""
    return sockets.listen(settings.host, settings.stream_at, "STREAM_PORT")


def run(settings: Settings, listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT. Who watches then connects again, and misses nothing.

    Arguments:
        listener: a listening socket, which is closed in the end.
    """
    import uvloop

    stop = signals.Flag()
    lifeline.watch(stop.set)
    uvloop.run(_serve(settings, listener, stop))


async def _serve(settings: Settings, listener: socket.socket, stop: signals.Flag) -> None:
    # Connections have these of the socket that accepts them.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)
    store = Store.connect(settings, _CONNECTIONS, SOCKET_TIMEOUT_S)
    store.guard.start()
    tail = Tail(settings.state_url, MOST_EVENTS, HEARTBEAT_S / 4)
    others = sockets.OTHER_FILES + MOST_EVENTS
    most = sockets.room_for(settings.stream_connection_limit, "STREAM_CONNECTION_LIMIT", others)
    hub = Hub(store, tail, most, settings.stream_address_limit)
    tidying = asyncio.create_task(hub.tidy())
    server = _Server(
        uvicorn.Config(
            create_app(settings, store, hub),
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # X-Forwarded-For is looked at by ourselves, and believed from TRUSTED_PROXIES alone.
            proxy_headers=False,
            backlog=1024,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.01)
    log.info("serving the feed", host=settings.host, port=listener.getsockname()[1])
    lifeline.ready()
    memory.settle()
    while not (stop or serving.done()):
        await asyncio.sleep(_LOOK_S)
        metrics.feed_open(hub.connections, hub.events, most)
    hub.leaving = True  # a balancer has to notice before connections are refused
    if not serving.done():
        await asyncio.sleep(settings.shutdown_delay)
    server.should_exit = True
    await hub.close()
    await serving
    tidying.cancel()
    await tail.close()
    log.info("stopped serving the feed")


class _Server(uvicorn.Server):
    """Leaves signals to us: it would end the process by the one that it got."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield
