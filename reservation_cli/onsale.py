"""`reservation demo --scenario onsale`: an opening night with all that the service has, and everything held against
everything else afterwards."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console

from reservation.settings import Settings
from reservation_cli.onsale_buyer import Buyer, Tally
from reservation_cli.onsale_check import (
    LETTERS,
    Finding,
    Owner,
    check_audit,
    check_feed,
    check_messages,
    check_owners,
    check_room,
)
from reservation_cli.onsale_receiver import Receiver
from reservation_cli.onsale_report import OnsaleProgress, conclusion, figures
from reservation_cli.token import issue
from reservation_client import AsyncClient, AuditEntry, Change, Problem, ReservationClientError, SeatMap
from reservation_http.access import BE_VIP, CREATE_EVENTS

#: Exit statuses.
_PASSED, _FAILED, _NO_SERVICE, _INTERRUPTED = 0, 1, 2, 130
#: How long tokens last, seconds.
_TOKENS_S = 4 * 3600
#: When sales begin, and for how long the waiting room lets people in, seconds.
_OPENS_S, _ADMITTING_S = 4.0, 20.0
#: Of all buyers, those who come before the opening, and those whose holds go first.
_EARLY, _VIP = 0.5, 0.2
#: Connections to the service.
_CONNECTIONS = 48
#: Of the best seats, those that the organiser keeps back at first, and when half of them are sold after all, seconds.
_KEPT, _LET_GO_S = 8, 12.0
#: Seats in a row at most, and the parts of the hall, the best first: of all seats how many.
_ROW = 20
_HALL = {"Stalls": 0.4, "Circle": 0.35, "Balcony": 0.25}
#: Within how long everything has to agree, seconds.
_AGREE_S = 60.0


class Unfit(Exception):
    """Raised where the service cannot be shown, with what to do about it."""


@dataclass
class Event:
    """What is on sale.

    Attributes:
        opens_at: when, epoch ms.
        per_minute: how many the waiting room lets in.
        kept: seats that are not for sale.
    """

    id: str
    seats: int
    opens_at: int
    per_minute: int
    kept: list[str]


@dataclass
class Watcher:
    """Somebody who follows the live feed: what the seats are by it, in the letters of a seat map."""

    letters: str = ""
    sequence: int = -1
    changes: int = 0

    def take(self, news: SeatMap | Change) -> None:
        """What the feed says next."""
        self.sequence = news.sequence
        if isinstance(news, SeatMap):
            self.letters = news.seats
            return
        self.changes += 1
        number = int(news.seat.rpartition("-")[2])
        self.letters = self.letters[: number - 1] + LETTERS.get(news.to or "", "?") + self.letters[number:]


def run(settings: Settings, url: str, seats: int, buyers: int, seed: int | None, listen: str) -> int:
    """Lets groups of buyers into a new event, some of them before others, prints how it went, and checks the outcome.

    Arguments:
        settings: those of the service, as far as they say how it knows who asks.
        url: where the service is.
        seats: seats of the event, 10 to 10,000.
        buyers: groups of one to six.
        seed: makes their choices repeatable; what comes of them depends on timing all the same.
        listen: where webhooks are received: an address of this machine that the service reaches.

    Returns:
        The exit status: 0 if all agrees, 1 if not, 2 if there is no service, or it lacks something.

    Raises SettingsError where the buyers' tokens are somebody else's to sign.
    """
    console = Console(highlight=False)
    status = _NO_SERVICE
    try:
        status = asyncio.run(_Sale(console, settings, url, seed).run(seats, buyers, listen))
    except* (ReservationClientError, Unfit) as errors:
        console.print(f"{url}: {_first(errors)}", style="red", soft_wrap=True)
    except* KeyboardInterrupt:
        status = _INTERRUPTED
        console.print("Interrupted: nothing is checked.", style="red")
    return status


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


class _Sale:
    """One run.

    Arguments:
        seed: of the buyers' choices; None: any.
    """

    def __init__(self, console: Console, settings: Settings, url: str, seed: int | None) -> None:
        self._console = console
        self._settings = settings
        self._url = url
        self._seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
        self._tally = Tally()
        self._watcher = Watcher()
        self._closed = False

    async def run(self, seats: int, buyers: int, listen: str) -> int:
        """Sells, and returns the exit status. Raises ReservationClientError, Unfit, SettingsError."""
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        async with httpx.AsyncClient(limits=limits, trust_env=False) as http:
            anybody = AsyncClient(self._url, http=http)
            organizer = self._as(anybody, uuid.uuid4(), CREATE_EVENTS)
            with _receiver(listen) as receiver:
                event = await self._create(organizer, seats, buyers)
                await _subscribe(organizer, event, receiver)
                await organizer.block(event.id, event.kept, reason="kept for the artists")
                # On a connection of its own, which it keeps.
                async with AsyncClient(self._url) as watching, self._watch(watching, event):
                    everybody = await self._sell(anybody, organizer, event, buyers)
                    with self._console.status("Holding everything against everything else …"):
                        findings = await self._check(organizer, event, everybody, receiver)
        figures(self._console, self._tally, receiver.repeated)
        return _PASSED if conclusion(self._console, findings) else _FAILED

    def _as(self, client: AsyncClient, user: uuid.UUID, *scopes: str) -> AsyncClient:
        """The service for a user."""
        if self._settings.auth_mode == "none":
            return client.acting_for(user)
        return client.acting_for(user, token=issue(self._settings, str(user), scopes, _TOKENS_S))

    async def _create(self, organizer: AsyncClient, seats: int, buyers: int) -> Event:
        health = await organizer.call("GET", "/health/ready")
        if health.get("webhooks") is None:
            raise Unfit("it sends no webhooks. Start it with: WEBHOOKS=on WEBHOOK_ALLOW_PRIVATE=on make up")
        if health["status"] != "ready":
            raise Unfit(f"it is {health['status']}: {health}")
        per_minute = min(60_000, max(60, round(buyers * 60 / _ADMITTING_S)))
        made = await organizer.create_event(
            "Opening night",
            layout={"sections": hall(seats)},
            opens_at=round((time.time() + _OPENS_S) * 1000),
            admit_per_minute=per_minute,
        )
        kept = [f"{made.id}-{number}" for number in range(1, _KEPT + 1)]
        return Event(made.id, made.total_seats, made.opens_at or 0, per_minute, kept)

    @asynccontextmanager
    async def _watch(self, client: AsyncClient, event: Event) -> AsyncIterator[None]:
        async def follow() -> None:
            async for news in client.watch(event.id):
                self._watcher.take(news)

        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow())
            yield
            following.cancel()

    async def _sell(
        self, anybody: AsyncClient, organizer: AsyncClient, event: Event, buyers: int
    ) -> list[tuple[Buyer, AsyncClient]]:
        """Lets all buyers come, and waits until they are gone; returns them, and as whom each one asked."""
        about = f"{event.seats:,} seats of event {event.id} in {len(_HALL)} sections, for {buyers:,} groups of buyers"
        rate = f"the waiting room lets in {event.per_minute:,} a minute"
        self._console.print(f"{about}, with seed {self._seed}.", soft_wrap=True)
        self._console.print(f"Sales open in {_OPENS_S:.0f} s; {rate}.\n", soft_wrap=True)
        everybody: list[tuple[Buyer, AsyncClient]] = []
        async with OnsaleProgress(self._console, self._tally, event.seats, buyers), asyncio.TaskGroup() as group:
            for number in range(buyers):
                choices = random.Random(f"{self._seed}/{number}")  # noqa: S311 - decides a buyer's whims
                vip = choices.random() < _VIP
                client = self._as(anybody, uuid.uuid4(), *([BE_VIP] if vip else []))
                buyer = Buyer(client, event.id, self._tally, vip=vip, choices=choices)
                everybody.append((buyer, client))
                early = choices.random() < _EARLY
                comes = choices.uniform(0, _OPENS_S / 2) if early else _OPENS_S + choices.uniform(0, _ADMITTING_S / 2)
                group.create_task(buyer.buy(comes))
            await asyncio.sleep(_LET_GO_S)
            await organizer.unblock(event.id, event.kept[::2], reason="not needed")
        await organizer.change_event(event.id, closes_at=round(time.time() * 1000))
        self._closed = await _is_closed(everybody[0][1], event.id)
        return everybody

    async def _check(
        self, organizer: AsyncClient, event: Event, everybody: list[tuple[Buyer, AsyncClient]], receiver: Receiver
    ) -> list[Finding]:
        owners = []
        for number, (buyer, client) in enumerate(everybody, 1):
            if buyer.owned:
                shown = await client.list_own_seats(event.id)
                owners.append(Owner(f"buyer {number}", buyer.owned, shown.reservations))
        until = time.monotonic() + _AGREE_S
        while True:
            letters, entries = await _picture(organizer, event.id)
            findings = [
                Finding("closing", "after it nobody gets a seat", [] if self._closed else ["somebody did"]),
                check_room(self._tally.admitted, event.opens_at, event.per_minute),
                check_owners(letters, event.id, owners),
                check_audit(letters, entries, owners),
                check_messages(receiver.messages(), receiver.forged, entries),
                check_feed(letters, self._watcher.letters, self._watcher.changes),
            ]
            if not any(finding.wrong for finding in findings) or time.monotonic() > until:
                return findings
            await asyncio.sleep(0.2)  # what is told comes a moment later, and holds go on to run out


def _receiver(address: str) -> Receiver:
    """Raises Unfit."""
    try:
        return Receiver(address)
    except OSError as error:
        raise Unfit(f"webhooks cannot be received at {address}: {error.strerror}") from None


async def _subscribe(organizer: AsyncClient, event: Event, receiver: Receiver) -> None:
    """Has the receiver told what happens. Raises Unfit where that is not allowed."""
    try:
        hook = await organizer.call("POST", f"/events/{event.id}/webhooks", {"url": receiver.url}, keyed=True)
    except Problem as problem:
        raise Unfit(f"{problem} Start it with: WEBHOOKS=on WEBHOOK_ALLOW_PRIVATE=on make up") from None
    receiver.secret = hook["secret"]


async def _is_closed(late: AsyncClient, event_id: str) -> bool:
    """Whether somebody who is late is told so. Raises ReservationClientError."""
    try:
        (await late.hold(f"{event_id}-1")).result()
    except Problem as problem:
        if problem.type != "event-closed":
            raise
        return True
    return False


async def _picture(organizer: AsyncClient, event_id: str) -> tuple[str, list[AuditEntry]]:
    """What all seats are, and all that has happened to them until then."""
    while True:
        seats = await organizer.get_seat_map(event_id)
        entries = [entry async for entry in organizer.audit(event_id)]
        if len(entries) == seats.sequence:  # nothing has happened in between
            return seats.seats, entries


def hall(seats: int) -> list[dict[str, Any]]:
    """Sections of a layout with so many seats: rows as long as each other, and a shorter one behind them.

    Arguments:
        seats: 10 at least.
    """
    sections, left = [], seats
    for rank, (name, share) in enumerate(_HALL.items(), 1):
        here = left if rank == len(_HALL) else max(1, round(seats * share))
        left -= here
        rows = [
            {"count": count, "seats": length}
            for count, length in ((here // _ROW, _ROW), (1, here % _ROW))
            if count and length
        ]
        sections.append({"name": name, "rank": rank, "rows": rows})
    return sections
