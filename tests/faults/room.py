"""Events with a waiting room: what clients saw of their tickets, and whether that can be."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from tests.crowd.checks import check_rate
from tests.faults.api import Answer, Api, Unexpected
from tests.faults.record import Look, Record


@dataclass
class Visitor:
    """A client at the door of an event.

    Attributes:
        admission: with which seats can be held; empty until there is one.
    """

    record: Record
    api: Api
    event_id: str
    user: str
    admission: str = ""
    _ticket: str = ""

    def knock(self) -> None:
        """Draws a ticket, or looks at it. Raises Unexpected, also where the ticket is gone."""
        if self._ticket:
            answer = self.api.get("ticket", self._ticket)
        else:
            answer = self.api.ask("draw", f"/events/{self.event_id}/queue", {"UUID": self.user})
        if answer.status in (200, 201):
            self._ticket = answer.body["statusEndpoint"]
            self.admission = answer.body.get("admission", "")
            self.record.add_look(_look(self.user, answer))

    def push(self, seat: str) -> None:
        """Asks for a seat without an admission. Raises Unexpected unless that is refused or not answered."""
        answer = self.api.ask("pushed", "/seats/hold", {"id": seat, "UUID": self.user})
        if answer.status == 202:
            raise Unexpected(f"a hold of {seat} without an admission was accepted")


def _look(user: str, answer: Answer) -> Look:
    told = answer.body
    return Look(
        told["event"],
        user,
        told["ticket"],
        told["status"],
        drawn=answer.status == 201,
        server_ms=told["serverTime"],
        admitted_ms=told.get("admittedAt"),
    )


def turned_away(record: Record) -> Iterator[str]:
    """What is wrong with the tickets that were seen: a user has one, which keeps its slot; the early come before the
    later; nobody is let in before that, nobody faster than the rate, and in the end everybody is."""
    for event_id, door in record.doors.items():
        looks = sorted((look for look in record.looks if look.event == event_id), key=attrgetter("user"))
        users: dict[str, set[str]] = defaultdict(set)
        slots: dict[str, int] = {}
        for user, of_user in groupby(looks, key=attrgetter("user")):
            seen = list(of_user)
            told = {look.admitted_ms for look in seen if look.admitted_ms is not None}
            for look in seen:
                users[look.ticket].add(user)
                if look.status == "admitted" and look.server_ms < (look.admitted_ms or 0) - 1:  # which is rounded up
                    yield f"{event_id}: {user} was admitted at {look.server_ms}, before {look.admitted_ms}"
            if len({look.ticket for look in seen}) != 1:
                yield f"{event_id}: {user} has several tickets"
            if len(told) != 1 or not any(look.status == "admitted" for look in seen):
                yield f"{event_id}: {user} was last told {seen[-1].status}, and admitted at {sorted(told)}"
            if told:
                slots[user] = max(told)
        yield from (f"{event_id}: {ticket} is of {sorted(of)}" for ticket, of in users.items() if len(of) > 1)
        times = sorted(slots.values())
        if times and times[0] < door.opens_ms:
            yield f"{event_id}: somebody is admitted at {times[0]}, before it opens at {door.opens_ms}"
        try:
            check_rate(times, door.per_minute)
        except AssertionError as error:
            yield f"{event_id}: {error}, of {times}"
        # Of a draw that was not answered nobody knows when it was.
        first = {look.user: look.status for look in looks if look.drawn}
        early = [slot for user, slot in slots.items() if first.get(user) == "early"]
        later = [slot for user, slot in slots.items() if first.get(user, "early") != "early"]
        if early and later and max(early) > min(later):
            yield f"{event_id}: a later one is admitted at {min(later)}, and an early one at {max(early)}"
