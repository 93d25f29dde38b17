"""The `reservation` command."""

import logging
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import redis
import structlog

import reservation
from reservation import checks, logs, settings, tracing
from reservation.errors import ReservationError
from reservation.ids import JobId, SeatId, parse_event_id, parse_uuid
from reservation.settings import Settings, SettingsError
from reservation_cli.measured import ServeError, measured

log = structlog.get_logger()


def _load(**overrides: Any) -> Settings:
    try:
        loaded = settings.load(**{name: value for name, value in overrides.items() if value is not None})
        tracing.require(loaded)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    return loaded


def _running() -> Settings:
    """The settings for commands that look at a running service. Standard output is theirs: they log nothing."""
    from reservation_cli.running import running

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        return running(_load())
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _measured(loaded: Settings, *, serve: bool = False) -> Iterator[None]:
    try:
        with measured(loaded, serve=serve):
            yield
    except ServeError as error:
        raise click.ClickException(str(error)) from None


def _require_redis(loaded: Settings) -> None:
    """Refuses to start on a server that cannot keep what is promised, and warns of one that keeps less. One
    that is not there yet is waited for: the sweeper looks at it again and again."""
    try:
        refused = checks.report(loaded)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    if refused:
        raise click.ClickException("\n".join(refused))


def _require_access(loaded: Settings) -> None:
    """Refuses to serve where it cannot be told who asks, and warns where it could be told afterwards."""
    from reservation_http.tokens import Tokens

    try:
        Tokens.of(loaded)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    if loaded.environment == "production" and not loaded.audit_key.get_secret_value():
        finding = "AUDIT_KEY: is not set, so whoever knows a user's UUID can find it in the change stream"
        log.warning("check", finding=finding)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(reservation.__version__)
def cli() -> None:
    """Holds and reserves seats for events, and never sells a seat twice.

    Settings come from the environment and .env; .env.example describes them.
    """


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the API [PORT, 3000].")
def up(port: int | None) -> None:
    """Run everything: Redis (its own, unless REDIS_URL is set), API, workers, sweeper."""
    loaded = _load(port=port)
    logs.configure(loaded, "up")
    with _measured(loaded):
        from reservation_cli.up import StartError, run

        _require_access(loaded)
        try:
            run(loaded)
        except StartError as error:
            raise click.ClickException(str(error)) from None


@cli.command()
@click.option("--processes", type=click.IntRange(1), help="Processes that share the port [API_PROCESSES, 1].")
@click.option("--fd", type=int, hidden=True, help="A listening socket to serve on.")
def api(processes: int | None, fd: int | None) -> None:
    """Serve HTTP."""
    loaded = _load(api_processes=processes)
    logs.configure(loaded, "api")
    with _measured(loaded):
        _serve(loaded, fd)


def _serve(loaded: Settings, fd: int | None) -> None:
    from reservation_http import server

    _require_access(loaded)
    _require_redis(loaded)
    count = loaded.api_processes or 1
    _serve_on(server.listen, server.run, loaded, fd, "api", count, loaded.shutdown_delay + server.DRAIN_S)


@cli.command()
@click.option("--processes", type=click.IntRange(1), help="Processes that share the port [STREAM_PROCESSES, 1].")
@click.option("--fd", type=int, hidden=True, help="A listening socket to serve on.")
def stream(processes: int | None, fd: int | None) -> None:
    """Serve the live feed: what happens to seats, as it happens."""
    loaded = _load(stream_processes=processes)
    logs.configure(loaded, "stream")
    with _measured(loaded, serve=True):
        from reservation_http.feed import server

        _require_redis(loaded)
        count, stop_s = loaded.stream_processes, loaded.shutdown_delay + server.DRAIN_S
        _serve_on(server.listen, server.run, loaded, fd, "stream", count, stop_s)


def _serve_on(
    listen: Callable[[Settings], socket.socket],
    run: Callable[[Settings, socket.socket], None],
    loaded: Settings,
    fd: int | None,
    role: str,
    count: int,
    stop_s: float,
) -> None:
    """Serves on a socket that is given, or on one of its own, which several processes share if they shall."""
    from reservation_cli.supervisor import Child, command, run_all
    from reservation_http.sockets import ListenError

    if fd is not None:
        run(loaded, socket.socket(fileno=fd))
        return
    try:
        listener = listen(loaded)
    except ListenError as error:
        raise click.ClickException(str(error)) from None
    if count == 1:
        run(loaded, listener)
        return
    inherited = listener.fileno()
    children = [
        Child(f"{role}-{n}", command(role, "--fd", str(inherited)), pass_fds=[inherited], renewable=True)
        for n in range(1, count + 1)
    ]
    # While this process listens too, who connects during the stop would wait for nobody.
    run_all(children, stop_s, before_stop=listener.close)


@cli.command()
@click.option("--processes", type=click.IntRange(1), help="Worker processes [WORKER_PROCESSES, 1].")
@click.option("--threads", type=click.IntRange(1), help="Threads of each [WORKER_THREADS, 1].")
def worker(processes: int | None, threads: int | None) -> None:
    """Carry out jobs."""
    loaded = _load(worker_processes=processes, worker_threads=threads)
    logs.configure(loaded, "worker")
    with _measured(loaded, serve=True):
        from actors import worker as workers
        from reservation_cli.supervisor import Child, command, run_all

        _require_redis(loaded)
        count = loaded.worker_processes or 1
        if count == 1:
            workers.run(loaded)
            return
        one = command("worker", "--processes", "1", "--threads", str(loaded.worker_threads))
        children = [Child(f"worker-{n}", one, renewable=True) for n in range(1, count + 1)]
        run_all(children, loaded.worker_shutdown_timeout)


@cli.command()
def sweeper() -> None:
    """Free seats whose hold is over and end jobs that got lost. Several may run."""
    loaded = _load()
    logs.configure(loaded, "sweeper")
    with _measured(loaded, serve=True):
        from actors import sweeper as sweepers

        _require_redis(loaded)
        sweepers.run(loaded)


@cli.command()
def webhooks() -> None:
    """Tell whoever asked for it what happens in events (WEBHOOKS=on). Several may run."""
    loaded = _load()
    logs.configure(loaded, "webhooks")
    if loaded.webhooks == "off":
        raise click.ClickException("WEBHOOKS: is off, so there is nobody to be told anything")
    if loaded.webhook_allow_private == "on" and loaded.environment == "production":
        finding = "WEBHOOK_ALLOW_PRIVATE: is on, so who may create events can have this network's addresses asked"
        log.warning("check", finding=finding)
    with _measured(loaded, serve=True):
        from actors import webhooks as senders

        _require_redis(loaded)
        senders.run(loaded)


@cli.command()
@click.option("--once", is_flag=True, help="Show it once; exit status 0: ready, 1: degraded, 2: no state.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--interval", type=click.FloatRange(0.1, 3600), default=2, show_default=True, help="Seconds.")
@click.option("--top", type=click.IntRange(0, 100), default=5, show_default=True, help="Events to list.")
def status(once: bool, as_json: bool, interval: float, top: int) -> None:
    """Show what the service is doing, again and again: queue, jobs, workers, holds."""
    from reservation_cli.status import run

    try:
        sys.exit(run(_running(), once=once, as_json=as_json, interval_s=interval, top=top))
    except KeyboardInterrupt:
        sys.exit(0)


@cli.command()
@click.option("--url", default=None, help="Where the API is, to ask it how it is.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(url: str | None, as_json: bool) -> None:
    """Check a deployment, and say what to change. Exit status 1 if something does not work."""
    from reservation_cli.doctor import run

    sys.exit(run(_running(), url, as_json=as_json))


@cli.command()
@click.argument("event")
@click.option("--seat", default=None, help="What happened to this seat alone.")
@click.option("--user", default=None, help="What the user with this UUID did alone. Needs the service's AUDIT_KEY.")
def audit(event: str, seat: str | None, user: str | None) -> None:
    """Print what has happened to an event's seats, and by whom, as CSV."""
    from reservation.store import Store
    from reservation_http.resources.audit import as_csv

    with _refusing():
        trail = Store.connect(_running(), connections=1).audit
        wanted = None if seat is None else SeatId.parse(seat)
        actor = trail.actor(event, parse_uuid(user)) if user else ""
        for number, page in enumerate(trail.pages(parse_event_id(event), seat=wanted, actor=actor)):
            click.echo(as_csv(page, head=number == 0), nl=False)


@cli.group()
def jobs() -> None:
    """Look at jobs, and repeat those that failed."""


@contextmanager
def _refusing() -> Iterator[None]:
    """Says in one line what an operation was refused for."""
    try:
        yield
    except ReservationError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise click.ClickException(f"{error.detail}{cause}") from None
    except redis.RedisError as error:
        raise click.ClickException(str(error)) from None


_reveal = click.option("--reveal", is_flag=True, help="Show users in full: who knows a user's UUID may act for it.")
_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@jobs.command("list")
@click.option("--event", default=None, help="Of this event only.")
@click.option("--status", type=click.Choice(["waiting", "active", "completed", "failed"]), default=None)
@click.option("--type", "kind", type=click.Choice(["HOLD_SEAT", "RESERVE_SEAT"], case_sensitive=False), default=None)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--oldest", is_flag=True, help="The oldest, not the newest.")
@_as_json
@_reveal
def list_jobs(event: str | None, status: Any, kind: Any, limit: int, oldest: bool, as_json: bool, reveal: bool) -> None:
    """List jobs, the newest first. Those that have ended are kept for JOB_RESULT_TTL."""
    from reservation_cli import jobs

    with _refusing():
        wanted = jobs.Wanted(None if event is None else parse_event_id(event), status, kind)
        store, _ = jobs.connect(_running())
        found = jobs.find(store, wanted, limit, oldest=oldest)
        jobs.print_list(found, as_json=as_json, reveal=reveal)
        if status not in ("waiting", "active") and store.jobs.kept() > jobs.MOST_KEYS:
            click.echo(f"Redis has more than {jobs.MOST_KEYS:,} keys: some ended jobs may be missing.", err=True)


@jobs.command("show")
@click.argument("job")
@_as_json
@_reveal
def show_job(job: str, as_json: bool, reveal: bool) -> None:
    """Show all there is about a job."""
    from reservation_cli import jobs

    with _refusing():
        store, _ = jobs.connect(_running())
        jobs.print_one(store, JobId.parse(job), as_json=as_json, reveal=reveal)


@jobs.command("retry")
@click.argument("job")
def retry_job(job: str) -> None:
    """Repeat a job that failed: a new job for the same seat and user, by the same rules as any other.

    Needs the service's own settings. One that has been repeated is not repeated again.
    """
    from reservation_cli import jobs

    with _refusing():
        repeated = jobs.repeat(*jobs.connect(_running()), JobId.parse(job))
    click.echo(f"repeated as {repeated.job_id}" if repeated.new else f"done already by {repeated.job_id}")


@cli.command()
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("spec"),
    show_default=True,
    help="Where to write.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not what it would be.")
def spec(directory: Path, check: bool) -> None:
    """Write the OpenAPI documents."""
    from reservation_cli.spec import documents

    stale = []
    for name, text in documents().items():
        path = directory / name
        if check:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path))
            continue
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")
    if stale:
        raise click.ClickException(f"{', '.join(stale)}: out of date; run `make spec`")


@cli.command()
@click.option("--user", default=None, help="A UUID, or any name [a new UUID].")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="events:write, seats:read, seats:vip or ops:read; may be given several times.",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=60, show_default=True)
def token(user: str | None, scopes: tuple[str, ...], minutes: float) -> None:
    """Print a token that this service accepts, to try it out (AUTH_MODE=jwt with HS256)."""
    from reservation_cli.token import issue

    try:
        click.echo(issue(_load(), user or str(uuid.uuid4()), scopes, minutes * 60))
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@cli.command()
@click.option(
    "--scenario",
    type=click.Choice(["rush", "onsale"]),
    default="rush",
    show_default=True,
    help="rush: all at once, seat by seat. onsale: an opening night with a waiting room, groups, VIPs and webhooks.",
)
@click.option("--url", default=None, help="The service [on this machine, at PORT].")
@click.option("--seats", type=click.IntRange(10, 10_000), default=500, show_default=True)
@click.option("--buyers", type=click.IntRange(1), default=None, help="[1000; 300 groups for onsale]")
@click.option("--seed", type=int, default=None, help="Makes the buyers' choices repeatable.")
@click.option(
    "--listen",
    default="127.0.0.1",
    show_default=True,
    help="onsale: where webhooks are received, an address of this machine that the service reaches.",
)
def demo(scenario: str, url: str | None, seats: int, buyers: int | None, seed: int | None, listen: str) -> None:
    """Run a sale against a running service, and audit it."""
    from reservation_cli import demo as rush
    from reservation_cli import onsale

    loaded = _load()
    url = url or loaded.api_url
    try:
        if scenario == "rush":
            sys.exit(rush.run(loaded, url, seats, buyers or 1_000, seed))
        sys.exit(onsale.run(loaded, url, seats, buyers or 300, seed, listen))
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
