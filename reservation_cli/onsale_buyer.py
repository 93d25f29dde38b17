"""A buyer of the `onsale` demo: waits to be let in, has the best seats held for a group, and makes up their mind."""

import asyncio
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random

from reservation_client import AsyncClient, Job, LimitReached, Problem, SeatUnavailable

#: Of how many buyers a group consists, 1 to 6, by how often.
_GROUPS = (2, 6, 3, 4, 1, 1)
#: How often a buyer tries who finds nothing, because holds run out or are given back.
_VISITS = 4
#: Of all buyers, those who sit together or not at all, who need time, who lose a friend on the way, who walk away, and
#: who have second thoughts once they have paid. Of those who walk away, those who give the seats back.
_TOGETHER, _SLOW, _FEWER, _FICKLE, _SORRY, _TIDY = 0.4, 0.3, 0.1, 0.12, 0.08, 0.7


@dataclass
class Tally:
    """What has happened so far.

    Attributes:
        admitted: when each ticket was let in, epoch ms.
        held, refreshed, released, reserved, cancelled: seats.
        groups: that were seated, by size; `apart` of them not next to one another.
        refused: by what was refused, and why.
        took_ms: how long holds took from being accepted to their verdict, by class.
    """

    admitted: dict[str, int] = field(default_factory=dict)
    held: int = 0
    refreshed: int = 0
    released: int = 0
    reserved: int = 0
    cancelled: int = 0
    apart: int = 0
    abandoned: int = 0
    empty_handed: int = 0
    done: int = 0
    groups: Counter[int] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    took_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class Buyer:
    """One buyer.

    Arguments:
        client: acting for the buyer.
        event_id: what is on sale.
        tally: where the buyer's doings are counted.
        vip: whether their holds go first.
        choices: decides for the buyer.

    Attributes:
        owned: the seats that are the buyer's, and the id of each one's reservation.
    """

    def __init__(self, client: AsyncClient, event_id: str, tally: Tally, *, vip: bool, choices: Random) -> None:
        self.owned: dict[str, str] = {}
        self._client = client
        self._event_id = event_id
        self._tally = tally
        self._class = "vip" if vip else "standard"
        self._choices = choices
        self._together, self._slow, self._fewer, self._fickle, self._sorry = (
            choices.random() < share for share in (_TOGETHER, _SLOW, _FEWER, _FICKLE, _SORRY)
        )
        self._size = choices.choices(range(1, len(_GROUPS) + 1), _GROUPS)[0]

    async def buy(self, comes_in_s: float) -> None:
        """Comes, waits, tries, and goes with seats or without. Raises ReservationClientError.

        Arguments:
            comes_in_s: when the buyer draws a ticket, seconds from now.
        """
        await asyncio.sleep(comes_in_s)
        ticket = await self._client.wait_for_admission(await self._client.draw_ticket(self._event_id))
        self._tally.admitted[ticket.ticket] = ticket.admitted_at or 0
        for visit in range(_VISITS):
            if visit:
                await asyncio.sleep(self._choices.uniform(0.5, 1.5))
            if seats := await self._hold(ticket.admission or ""):
                await self._decide(seats)
                break
        else:
            self._tally.empty_handed += 1
        self._tally.done += 1

    async def _hold(self, admission: str) -> list[str]:
        """Has the best seats held, for fewer if there are not so many; returns them."""
        wanted, adjacent = self._size, "required"
        while wanted:
            try:
                job = await self._client.hold_best(
                    self._event_id, wanted, adjacent=adjacent, admission=admission, priority=self._class
                )
                seats = [seat.id for seat in self._ended(job).result()]
            except SeatUnavailable as problem:
                self._refused("hold", problem)
                if problem.type == "no-seats-together" and not self._together:
                    adjacent = "preferred"
                else:
                    # Of those who will not sit apart some stay at home.
                    fits = problem.members.get("largestBlock" if self._together else "free", 0)
                    wanted = min(wanted - 1, int(fits))
            except LimitReached as problem:
                self._refused("hold", problem)
                wanted = min(wanted - 1, int(problem.members.get("limit", 0)))
            else:
                self._tally.held += len(seats)
                self._tally.groups[len(seats)] += 1
                self._tally.apart += adjacent == "preferred"
                return seats
        return []

    async def _decide(self, seats: list[str]) -> None:
        """Pays for the seats, or walks away from them."""
        try:
            if self._slow:
                await asyncio.sleep(self._choices.uniform(0.2, 1.0))
                self._tally.refreshed += len(await self._client.refresh(seats))
            if self._fickle:
                self._tally.abandoned += 1
                if self._choices.random() < _TIDY:
                    await self._give_back(seats)
                return
            if self._fewer and len(seats) > 1:
                await self._give_back([seats.pop()])
            await self._pay(seats)
            if self._sorry:
                await asyncio.sleep(self._choices.uniform(0.2, 1.0))
                await self._client.cancel(seats)
                self._tally.cancelled += len(seats)
                self.owned.clear()
        except Problem as problem:
            self._refused("afterwards", problem)

    async def _give_back(self, seats: list[str]) -> None:
        await self._client.release(seats)
        self._tally.released += len(seats)

    async def _pay(self, seats: list[str]) -> None:
        job = await self._client.reserve(seats, reference=f"order {uuid.UUID(int=self._choices.getrandbits(128))}")
        for seat in job.result():
            self.owned[seat.id] = seat.reservation_id or ""
        self._tally.reserved += len(seats)

    def _ended(self, job: Job) -> Job:
        if job.created_at is not None and job.completed_at is not None:
            self._tally.took_ms[self._class].append(job.completed_at - job.created_at)
        return job

    def _refused(self, what: str, problem: Problem) -> None:
        self._tally.refused[what, problem.type] += 1
