"""`reservation up`: the whole service in one terminal."""

import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click
import redis

from reservation import checks, embedded, lifeline, signals
from reservation.connections import connect
from reservation.embedded import EmbeddedError, FolderInUse
from reservation.errors import StateUnavailable
from reservation.settings import Settings, cores, masked
from reservation.store import Store
from reservation_cli.supervisor import Child, Supervisor, command
from reservation_http import server
from reservation_http.feed import server as feed_server
from reservation_http.sockets import ListenError

#: How long the parts may take until all of them answer, seconds. A large append-only file is loaded
#: in this time too.
_READY_S = 60
#: Processes for the API and the workers: by processor, at most so many.
_MOST_API, _MOST_WORKERS = 4, 8


class StartError(Exception):
    """Raised when a part does not start. Its text says which, and why."""


def run(settings: Settings) -> None:
    """Starts every part, waits until the service is ready, and keeps it so until SIGTERM, SIGINT or
    the parent's end; SIGHUP replaces all but the Redis servers one by one. Raises StartError."""
    stop = signals.Flag()
    renewal = signals.Renewal(stop)
    lifeline.watch(stop.set)
    try:
        listeners = {"api": server.listen(settings), "stream": feed_server.listen(settings)}
    except ListenError as error:
        raise StartError(str(error)) from None
    folders = {"LOG_DIR": settings.log_dir, **({"VAR_DIR": settings.var_dir} if settings.embedded else {})}
    for name, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"{name}: cannot make {folder}: {error.strerror}") from None
    supervisor = Supervisor(max(settings.worker_shutdown_timeout, server.DRAIN_S))
    try:
        if settings.embedded:
            # A message only wakes a worker; it need not wait for the state's disk.
            # docs/decisions/0008-queue-server.md
            servers = {
                "redis_url": _start_server("redis", settings, supervisor, stop),
                "broker_url": _start_server("queue", settings, supervisor, stop, durable=False),
            }
            settings = settings.model_copy(update=servers)
        else:
            _check_redis(settings)
        children = _children(settings, {role: listener.fileno() for role, listener in listeners.items()})
        supervisor.start(*children["worker"], *children["sweeper"], *children.get("webhooks", []))
        supervisor.start(*children["stream"], *children["api"])
        if _wait_until_ready(settings, supervisor, children, stop):
            _announce(settings, children)
            supervisor.run(stop, renewal)
        click.echo("stopping …")
    finally:
        for listener in listeners.values():
            listener.close()
        supervisor.stop()
    click.echo("stopped")


def _start_server(
    name: str, settings: Settings, supervisor: Supervisor, stop: signals.Flag, *, durable: bool = True
) -> str:
    """Starts an embedded Redis, which has a folder and a log of its name; returns its URL."""
    data_dir = settings.var_dir / name
    log_file = settings.log_dir / f"{name}.log"
    logged = log_file.stat().st_size if log_file.exists() else 0
    child = Child(name, embedded.keeper_command(data_dir, durable=durable), log_file)
    supervisor.start(child)
    if child.process is None:
        raise AssertionError("a child that was started has a process")
    try:
        embedded.wait_until_ready(data_dir, child.process, _READY_S, lambda: bool(stop))
    except FolderInUse:
        raise StartError(
            f"VAR_DIR: another service is using {settings.var_dir}/; stop it, or set PORT, VAR_DIR and LOG_DIR"
        ) from None
    except EmbeddedError as error:
        raise StartError(f"{name}: {error}\n{_tail(log_file, logged)}") from None
    return embedded.url(data_dir)


def _check_redis(settings: Settings) -> None:
    state = "REDIS_URL" if settings.redis_url else "REDIS_HOST"
    for name, url in ((state, settings.state_url), ("BROKER_URL", settings.queue_url)):
        try:
            connect(url, connections=1).probe(("PING",))
        except redis.RedisError as error:
            raise StartError(f"{name}: {error}") from None
    if refused := checks.report(settings):
        raise StartError("\n".join(refused))


def _children(settings: Settings, sockets: dict[str, int]) -> dict[str, list[Child]]:
    count = {
        "api": settings.api_processes or max(1, min(cores() // 2, _MOST_API)),
        "worker": settings.worker_processes or max(1, min(cores() // 2, _MOST_WORKERS)),
        "sweeper": 1,
        "stream": settings.stream_processes,
        **({"webhooks": 1} if settings.webhooks == "on" else {}),
    }
    arguments: dict[str, tuple[str, ...]] = {"worker": ("--processes", "1"), "sweeper": (), "webhooks": ()}
    arguments |= {role: ("--fd", str(fd)) for role, fd in sockets.items()}
    files = {"api": "server.log"}
    env = {
        "REDIS_URL": settings.state_url,
        "BROKER_URL": settings.queue_url,
        "HOST": settings.host,
        "PORT": str(settings.port),
        "STREAM_PORT": str(settings.stream_at),
        "LOG_FORMAT": "json",
    }
    return {
        role: [
            Child(
                f"{role}-{number}",
                command(role, *arguments[role]),
                settings.log_dir / files.get(role, f"{role}.log"),
                env,
                pass_fds=[sockets[role]] if role in sockets else [],
                renewable=True,
            )
            for number in range(1, count[role] + 1)
        ]
        for role in count
    }


def _wait_until_ready(
    settings: Settings, supervisor: Supervisor, children: dict[str, list[Child]], stop: signals.Flag
) -> bool:
    """Waits for every process; returns False if told to stop meanwhile."""
    store = Store.connect(settings, connections=1)
    until = time.monotonic() + _READY_S
    while not stop:
        if child := supervisor.dead():
            raise StartError(f"{child.name} ended while starting\n{_tail(child.log_file)}")
        try:
            load = store.fleet.load()
            if (
                load.workers >= len(children["worker"])
                and load.sweepers
                and ("webhooks" not in children or store.fleet.senders())
                and all(_answers(settings, port) for port in (settings.port, settings.stream_at))
            ):
                return True
        except StateUnavailable:
            pass  # not yet
        if time.monotonic() > until:
            raise StartError(f"not ready after {_READY_S} s; see {settings.log_dir}/")
        time.sleep(0.05)
    return False


def _answers(settings: Settings, port: int) -> bool:
    # Not urllib, which would ask a proxy for it if one is configured.
    connection = HTTPConnection(settings.reachable_host, port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _tail(log_file: Path | None, start: int = 0) -> str:
    """The last lines of a log; of those from byte `start` on."""
    if log_file is None or not log_file.is_file():
        return ""
    return "\n".join(log_file.read_bytes()[start:].decode(errors="replace").splitlines()[-8:])


def _announce(settings: Settings, children: dict[str, list[Child]]) -> None:
    base = settings.api_url
    parts = ", ".join(f"{len(group)} {role}" for role, group in children.items())
    who, create = "anybody is who they say (AUTH_MODE=none)", f"curl -s {base}/events/create"
    if settings.auth_mode == "jwt":
        who = f"bearer tokens, {settings.jwt_algorithm}, of {settings.jwt_issuer}"
        create += ' -H "Authorization: Bearer $(reservation token --scope events:write)"'
    limits = "on" if settings.counts_requests else "off"
    click.echo(
        f"""
Ready: {parts} on {masked(settings.state_url)}

  Seats      {base}/
  Operations {base}/ops
  Try it     {base}/docs
  API        {base}
  Live feed  {settings.stream_base}
  OpenAPI    {base}/openapi.yaml
  Health     {base}/health/ready
  Who asks   {who}; rate limits {limits}
  Logs       {settings.log_dir}/server.log, worker.log, sweeper.log, stream.log

  {create} -H 'Content-Type: application/json' -d '{{"name": "Opening night", "totalSeats": 100}}'
  make demo      (an on-sale: 1,000 buyers for 500 seats)

Ctrl-C stops it.
"""
    )
