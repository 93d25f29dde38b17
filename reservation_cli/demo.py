"""`reservation demo`: an on-sale against a running service, and an audit of it."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from functools import lru_cache

import httpx
from rich.console import Console

from reservation.settings import Settings
from reservation_cli.demo_audit import Audit, Reading, audit, owners_by_seat
from reservation_cli.demo_buyer import Buyer, Tally
from reservation_cli.demo_client import Pool, Unreachable
from reservation_cli.demo_report import RushProgress, figures, findings
from reservation_cli.token import issue
from reservation_client import AsyncClient, Busy, Problem
from reservation_http.access import CREATE_EVENTS

#: Exit statuses.
_PASSED, _FAILED, _NO_SERVICE, _INTERRUPTED = 0, 1, 2, 130
#: How long the buyers' tokens last, seconds.
_TOKENS_S = 4 * 3600


def run(settings: Settings, url: str, seats: int, buyers: int, seed: int | None) -> int:
    """Lets buyers compete for the seats of a new event, prints how it went, and audits the outcome.

    Arguments:
        settings: those of the service, as far as they say how it knows who asks.
        url: where the service is.
        seats: seats of the event, 10 to 10,000.
        buyers: buyers, all there at the same time.
        seed: makes their choices repeatable; what comes of them depends on timing all the same.

    Returns:
        The exit status: 0 if the audit passed, 1 if not, 2 if there is no service to ask.

    Raises SettingsError where the buyers' tokens are somebody else's to sign.
    """
    token = _tokens(settings)
    console = Console(highlight=False)
    status = _FAILED
    try:
        status = asyncio.run(_on_sale(console, token, url.rstrip("/"), seats, buyers, seed))
    except* Unreachable as errors:
        status = _NO_SERVICE
        console.print(str(errors.exceptions[0]), style="red", soft_wrap=True)
    except* KeyboardInterrupt:
        status = _INTERRUPTED
        console.print("Interrupted: no audit.", style="red")
    return status


def _tokens(settings: Settings) -> Callable[[str], str] | None:
    """What gets a user's token; None where a user is a UUID. Raises SettingsError."""
    if settings.auth_mode == "none":
        return None

    @lru_cache(None)
    def token(user: str) -> str:
        # Everybody may create the event; one of them does.
        return issue(settings, user, [CREATE_EVENTS], _TOKENS_S)

    token(str(uuid.uuid4()))  # says now if it cannot
    return token


async def _on_sale(
    console: Console, token: Callable[[str], str] | None, url: str, seats: int, buyers: int, seed: int | None
) -> int:
    pool = Pool(url, token)
    try:
        await _check(url)
        async with pool.turn(str(uuid.uuid4())) as organizer:
            event_id = await _create(organizer, seats)
        seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
        console.print(f"On sale: {seats:,} seats of event {event_id}, to {buyers:,} buyers, with seed {seed}.\n")

        tally = Tally()
        pool.requests, began = 0, time.monotonic()
        async with RushProgress(console, tally, seats, buyers), asyncio.TaskGroup() as group:
            for number in range(buyers):
                choices = random.Random(f"{seed}/{number}")  # noqa: S311 - decides a buyer's whims
                group.create_task(Buyer(pool, event_id, tally, choices).buy())
        elapsed_s = time.monotonic() - began
        requests = pool.requests
        async with pool.turn() as client:
            free = (await client.get_seat_map(event_id)).free
        console.print()
        figures(console, tally, pool, seats, free)
        console.print(f"{requests:,} requests in {elapsed_s:.1f} s, {requests / elapsed_s:,.0f} a second.\n")

        with console.status("Reading every seat …"):
            found = await _audit(pool, event_id, seats)
        findings(console, found)
        return _PASSED if found.passed else _FAILED
    finally:
        await pool.close()


async def _check(url: str) -> None:
    """Raises Unreachable unless the service can carry out jobs."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=15) as http:
            health = (await http.get(f"{url}/health/ready")).json()
        status, parts = health["status"], {name: health[name] for name in ("state", "broker", "workers", "sweepers")}
    except httpx.TransportError as error:
        raise Unreachable(f"Nothing answers at {url} ({type(error).__name__}). Start the service: make up") from None
    except (ValueError, KeyError, TypeError):
        raise Unreachable(f"What answers at {url} is not this service. Start it: make up") from None
    if status != "ready":
        shown = ", ".join(f"{name} {value}" for name, value in parts.items())
        raise Unreachable(f"The service at {url} is {status}: {shown}. Start all of it: make up")


async def _create(organizer: AsyncClient, seats: int) -> str:
    """Creates the event and returns its id."""
    try:
        return (await organizer.create_event("On-sale demo", seats)).id
    except Problem as problem:
        raise Unreachable(f"The event could not be created: {problem}") from None


async def _audit(pool: Pool, event_id: str, seats: int) -> Audit:
    """Reads every seat, as each buyer who was told it is theirs, and compares."""
    owners = owners_by_seat(pool.jobs.values())
    readings: dict[tuple[str, str], Reading] = {}

    async def read(seat_id: str, user: str) -> None:
        async with pool.turn(user) as client:
            try:
                seat = await client.get_seat(seat_id)
            except Busy:
                raise
            except Problem as problem:
                readings[seat_id, user] = Reading(problem.type, "")
            else:
                readings[seat_id, user] = Reading(seat.status, seat.user)

    async with asyncio.TaskGroup() as group:
        for number in range(1, seats + 1):
            seat_id = f"{event_id}-{number}"
            for user in owners.get(seat_id, {""}):
                group.create_task(read(seat_id, user))
    return audit(pool.jobs.values(), readings)
