"""Serves the application on Waitress: hardened, and stopped without dropping a request."""

import math
import socket
import sys
import time
from typing import Any

import structlog
from waitress import wasyncore
from waitress.server import create_server

from reservation import lifeline, memory, metrics, signals, tracing
from reservation.settings import Settings
from reservation_http import sockets
from reservation_http.app import Services, create_app, is_slow
from reservation_http.connection import Connection
from reservation_http.rounds import RoundDispatcher

log = structlog.get_logger()

#: Largest body that is received at all, bytes (exclusive). What may be larger than a valid body is
#: answered with a problem by the application; beyond this Waitress itself answers 413.
_MAX_RECEIVED = 65_537
#: Longest head of a request, bytes.
_MAX_HEADER = 8_192
#: How long a connection may be idle, seconds.
_IDLE_S = 10
#: How long a client may take to read an answer: so many times as long as a request may take to arrive.
_READ_TIMES = 6
#: How long requests that are under way may take after SIGTERM, seconds.
DRAIN_S = 10
#: How long a connection that was just used is kept then, seconds: a request that crosses the closing of
#: its connection is lost.
_LINGER_S = 0.5
#: How long a thread may keep the interpreter while another waits, seconds. With the default of 5 ms
#: four threads answered a quarter of the requests or fewer (docs/performance.md).
_SWITCH_INTERVAL_S = 0.0001


def listen(settings: Settings) -> socket.socket:
    """A listening socket; processes that inherit it share its connections. Raises ListenError."""
    return sockets.listen(settings.host, settings.port, "PORT")


def run(settings: Settings, listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT; then finishes the requests that have begun.

    Arguments:
        listener: a listening socket, which is closed in the end.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    tracing.start(settings, "api")
    channels: dict[int, wasyncore.dispatcher] = {}
    services = Services.connect(settings)
    services.start()
    most = sockets.room_for(settings.connection_limit, "CONNECTION_LIMIT")
    server = create_server(
        create_app(services),
        map=channels,
        sockets=[listener],
        threads=settings.api_threads,
        connection_limit=most,
        asyncore_use_poll=True,  # select() ends at 1,024 descriptors
        channel_timeout=_IDLE_S,
        cleanup_interval=1,
        channel_request_lookahead=0,
        max_request_header_size=_MAX_HEADER,
        max_request_body_size=_MAX_RECEIVED,
        # The application does not look at what proxies say, so nothing has to be taken out for it.
        clear_untrusted_proxy_headers=False,
        expose_tracebacks=False,
        ident=None,
    )
    server.channel_class = Connection
    rounds = RoundDispatcher(server.task_dispatcher, is_slow, services.queue.send_posted)
    rounds.serve(server)
    services.waits.wake = server.pull_trigger
    stop = signals.Flag()
    lifeline.watch(stop.set)
    log.info("serving", host=settings.host, port=listener.getsockname()[1], threads=settings.api_threads)
    lifeline.ready()
    memory.settle()
    look_at, leave_at = 0.0, math.inf
    while time.monotonic() < leave_at:
        wasyncore.loop(timeout=min(0.25, rounds.wait_s), map=channels, use_poll=True, count=1)
        rounds.work()
        if len(channels) > most - max(2, most // 50):
            _make_room(server, most)
        if time.monotonic() > look_at:  # not after each event: it looks at every connection
            look_at = time.monotonic() + 0.5
            _drop_slow(server, settings.request_timeout)
            services.waits.look()
            _show(services, len(server.active_channels), most)
        if stop and not services.leaving.is_set():
            # Still serving: a balancer in front has to notice before connections are refused.
            services.leaving.set()
            leave_at = time.monotonic() + settings.shutdown_delay
    services.waits.close()
    _drain(server, rounds, channels, settings.request_timeout)
    tracing.stop()
    log.info("stopped serving")


def _show(services: Services, connections: int, most: int) -> None:
    """Shows what only this process knows of itself. Whether it sends anything, it says itself: a probe that hangs
    says nothing."""
    metrics.connections_open(connections, most)
    for name, guard in (("state", services.store.guard), ("broker", services.queue.guard)):
        metrics.breaker(name, is_open=not guard.closed)


def _drop_slow(server: Any, request_timeout_s: float) -> None:
    """Closes connections that take too long to send a request or to read an answer."""
    now = time.time()
    for connection in list(server.active_channels.values()):
        if connection.is_slow(now, request_timeout_s, _READ_TIMES * request_timeout_s):
            connection.handle_close()  # at once: the socket of who does not read never becomes writable


def _make_room(server: Any, most: int) -> None:
    """Closes connections where there are so many that the next could not be accepted: those that have been idle for
    longest, then those whose request has been arriving for longest, then those that have not read their answer for
    longest. A client that would have used one again opens another; one that wants in has no other way."""
    spare = sorted((c for c in server.active_channels.values() if c.spare), key=lambda c: c.spare)
    for connection in spare[: max(1, most // 20)]:
        connection.handle_close()


def _drain(
    server: Any, rounds: RoundDispatcher, channels: dict[int, wasyncore.dispatcher], request_timeout_s: float
) -> None:
    """Takes what has connected already, then nobody more, and waits for the answers that are owed."""
    known = -1
    while known != len(server.active_channels):
        known = len(server.active_channels)
        server.handle_accept()
    # Whose request has arrived and was not read yet is owed an answer too.
    wasyncore.loop(timeout=0, map=channels, use_poll=True, count=1)
    rounds.work()
    server.accepting = False
    channels.pop(server._fileno, None)  # noqa: SLF001 - as dispatcher.close() does, but for the trigger
    server.socket.close()
    until = time.monotonic() + DRAIN_S
    while time.monotonic() < until and any(map(_is_owed, server.active_channels.values())):
        wasyncore.loop(timeout=min(0.05, rounds.wait_s), map=channels, use_poll=True, count=1)
        rounds.work()
        _drop_slow(server, request_timeout_s)
    server.task_dispatcher.shutdown()


def _is_owed(channel: Connection) -> bool:
    """Whether an answer is due, or the connection is so busy that its next request may be on its way."""
    busy = time.time() - channel.last_activity < _LINGER_S
    return busy or bool(channel.request or channel.requests or channel.total_outbufs_len)
