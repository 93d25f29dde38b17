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
from reservation_cli.demo_client import Connection, Pool, Unreachable, members, slug
from reservation_cli.demo_report import Progress, figures, findings
from reservation_cli.token import issue
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
    identify = _identify(settings)
    console = Console(highlight=False)
    status = _FAILED
    try:
        status = asyncio.run(_on_sale(console, identify, url.rstrip("/"), seats, buyers, seed))
    except* Unreachable as errors:
        status = _NO_SERVICE
        console.print(str(errors.exceptions[0]), style="red", soft_wrap=True)
    except* KeyboardInterrupt:
        status = _INTERRUPTED
        console.print("Interrupted: no audit.", style="red")
    return status


def _identify(settings: Settings) -> Callable[[str], dict[str, str]]:
    """The headers with which a user asks. Raises SettingsError."""
    if settings.auth_mode == "none":
        return lambda user: {"X-User-UUID": user}

    @lru_cache(None)
    def bear(user: str) -> dict[str, str]:
        # Everybody may create the event; one of them does.
        return {"Authorization": f"Bearer {issue(settings, user, [CREATE_EVENTS], _TOKENS_S)}"}

    bear(str(uuid.uuid4()))  # says now if it cannot
    return bear


async def _on_sale(
    console: Console, identify: Callable[[str], dict[str, str]], url: str, seats: int, buyers: int, seed: int | None
) -> int:
    pool = Pool(url, identify)
    try:
        async with pool.turn() as connection:
            await _check(connection, url)
            event_id = await _create(connection, seats)
        seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
        console.print(f"On sale: {seats:,} seats of event {event_id}, to {buyers:,} buyers, with seed {seed}.\n")

        tally = Tally()
        pool.requests, began = 0, time.monotonic()
        async with Progress(console, tally, seats, buyers), asyncio.TaskGroup() as group:
            for number in range(buyers):
                choices = random.Random(f"{seed}/{number}")  # noqa: S311 - decides a buyer's whims
                group.create_task(Buyer(pool, event_id, tally, choices).buy())
        elapsed_s = time.monotonic() - began
        requests = pool.requests
        async with pool.turn() as connection:
            free = (await connection.read(f"/seats/list/{event_id}?limit=1"))["total"]
        console.print()
        figures(console, tally, pool, seats, free)
        console.print(f"{requests:,} requests in {elapsed_s:.1f} s, {requests / elapsed_s:,.0f} a second.\n")

        with console.status("Reading every seat …"):
            found = await _audit(pool, event_id, seats)
        findings(console, found)
        return _PASSED if found.passed else _FAILED
    finally:
        await pool.close()


async def _check(connection: Connection, url: str) -> None:
    """Raises Unreachable unless the service can carry out jobs."""
    try:
        health = (await connection.send_once("GET", "/health/ready")).json()
        status, parts = health["status"], {name: health[name] for name in ("state", "broker", "workers", "sweepers")}
    except httpx.UnsupportedProtocol:
        raise Unreachable(f"{url} is not a URL: it has to start with http:// or https://") from None
    except httpx.TransportError as error:
        raise Unreachable(f"Nothing answers at {url} ({type(error).__name__}). Start the service: make up") from None
    except (ValueError, KeyError, TypeError):
        raise Unreachable(f"What answers at {url} is not this service. Start it: make up") from None
    if status != "ready":
        shown = ", ".join(f"{name} {value}" for name, value in parts.items())
        raise Unreachable(f"The service at {url} is {status}: {shown}. Start all of it: make up")


async def _create(connection: Connection, seats: int) -> str:
    """Creates the event and returns its id."""
    organizer, key = str(uuid.uuid4()), str(uuid.uuid4())
    new = {"name": "On-sale demo", "totalSeats": seats}
    answer = await connection.send("POST", "/events/create", organizer, new, key)
    if not answer.is_success:
        raise Unreachable(f"The event could not be created: {answer.status_code} {slug(answer)}")
    return str(members(answer)["id"])


async def _audit(pool: Pool, event_id: str, seats: int) -> Audit:
    """Reads every seat, as each buyer who was told it is theirs, and compares."""
    owners = owners_by_seat(pool.jobs.values())
    readings: dict[tuple[str, str], Reading] = {}

    async def read(seat_id: str, user: str) -> None:
        async with pool.turn() as connection:
            answer = await connection.send("GET", f"/seats/get/{seat_id}", user)
        seat = members(answer) if answer.is_success else {"status": slug(answer), "UUID": ""}
        readings[seat_id, user] = Reading(seat["status"], seat["UUID"])

    async with asyncio.TaskGroup() as group:
        for number in range(1, seats + 1):
            seat_id = f"{event_id}-{number}"
            for user in owners.get(seat_id, {""}):
                group.create_task(read(seat_id, user))
    return audit(pool.jobs.values(), readings)
