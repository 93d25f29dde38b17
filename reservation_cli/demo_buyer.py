"""A buyer of the demo: what people do at an on-sale, with their luck and their habits."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from random import Random

from reservation_cli.demo_client import Kind, Pool
from reservation_client import AsyncClient, Busy, Problem

#: Free seats that a buyer looks at, and how often a buyer comes who still has none.
_SEEN, _VISITS = 60, 3
#: Holds that a buyer asks for beyond the seats wanted, at the most.
_SPARE_TRIES = 4
#: The time in which all buyers come, seconds. The greedy are there first.
_ARRIVAL_S = 1.0
#: Seats ahead of the one that is chosen, on average: the smaller, the more buyers want the same seat.
_PICKINESS = 6
#: Of all buyers, those who want more seats than anybody may hold, those who refresh their holds, and
#: those who hold seats and never reserve them. Of the latter, those who give them back.
_GREEDY, _SLOW, _FICKLE, _TIDY = 0.02, 0.15, 0.08, 0.5


@dataclass
class Tally:
    """What has happened so far.

    Attributes:
        refused: by what was refused, and why.
        empty_handed: buyers who got no hold.
        abandoned: buyers who held seats and did not reserve them.
    """

    holds: int = 0
    refreshed: int = 0
    reservations: int = 0
    abandoned: int = 0
    empty_handed: int = 0
    done: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)


class Buyer:
    """One buyer.

    Arguments:
        pool: the way to the service.
        event_id: what is on sale.
        tally: where the buyer's doings are counted.
        choices: decides for the buyer.
    """

    def __init__(self, pool: Pool, event_id: str, tally: Tally, choices: Random) -> None:
        self._pool = pool
        self._event_id = event_id
        self._tally = tally
        self._choices = choices
        self._user = str(uuid.uuid4())
        self._greedy, self._slow, self._fickle, self._tidy = (
            choices.random() < share for share in (_GREEDY, _SLOW, _FICKLE, _TIDY)
        )
        self._wanted = choices.randint(8, 10) if self._greedy else choices.randint(1, 4)

    async def buy(self) -> None:
        """Comes, tries, and goes with seats or without. Raises Unreachable."""
        await asyncio.sleep(0 if self._greedy else self._choices.uniform(0, _ARRIVAL_S))
        for _ in range(_VISITS):
            async with self._pool.turn(self._user) as client:
                if seats := await self._hold_some(client):
                    await self._decide(client, seats)
                    break
            # Sold out, or all on hold, or always too late: some of it may come free again.
            await asyncio.sleep(self._choices.uniform(0.5, 1.5))
        else:
            self._tally.empty_handed += 1
        self._tally.done += 1

    async def _hold_some(self, client: AsyncClient) -> list[str]:
        """Holds seats until there are enough, or no more to be had; returns them."""
        held: list[str] = []
        tries = self._wanted + _SPARE_TRIES
        while len(held) < self._wanted and tries:
            tries -= 1
            free = (await client.list_free_seats(self._event_id, limit=_SEEN)).seats
            if not free:
                break
            # Low numbers are good seats, and everybody knows.
            seat_id = free[int(self._choices.expovariate(1 / _PICKINESS)) % len(free)].id
            refusal = await self._request(client, "hold", seat_id)
            if refusal == "limit-reached":
                break
            if not refusal:
                held.append(seat_id)
                self._tally.holds += 1
        return held

    async def _decide(self, client: AsyncClient, seats: list[str]) -> None:
        """Reserves the seats, or walks away from them."""
        if self._slow:
            await asyncio.sleep(self._choices.uniform(0.2, 0.8))
            for seat_id in seats:
                if not await self._refusal("refresh", client.refresh(seat_id)):
                    self._tally.refreshed += 1
        if not self._fickle:
            for seat_id in seats:
                if not await self._request(client, "reserve", seat_id):
                    self._tally.reservations += 1
            return
        self._tally.abandoned += 1
        if self._tidy:
            for seat_id in seats:
                await self._refusal("release", client.release(seat_id))

    async def _request(self, client: AsyncClient, kind: Kind, seat_id: str) -> str:
        """Has a job done; returns why not, or nothing."""
        return await self._refusal(kind, self._pool.do(client, kind, seat_id, self._user))

    async def _refusal(self, what: str, done: Awaitable[object]) -> str:
        """Waits for something to be done; returns why it was not, or nothing."""
        try:
            await done
        except Problem as problem:
            if isinstance(problem, Busy) and problem.type != "queue-full":
                raise
            if what in ("hold", "reserve"):
                what += ", at once" if problem.status else ", by its job"
            self._tally.refused[what, problem.type] += 1
            return problem.type
        return ""
