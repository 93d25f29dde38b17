"""People who draw tickets before and after the opening, look at them as often as they are told to, and hold a seat once
they are admitted."""

import heapq
import http.client
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from bench.servers import Client

#: Of how many one asks for the ticket twice.
_EVERY = 50
#: How long somebody goes on where no answer comes, seconds.
_PATIENCE_S = 60


@dataclass
class Person:
    """Somebody who wants a seat. Times of this process in seconds, of the service in epoch ms.

    Attributes:
        number: in the order in which they mean to come, and their seat.
        comes_at: when they do.
        asked_at, drawn_at: when the ticket was asked for first, and was there.
        early: whether that was before the opening; None if an answer was lost, and nobody can tell.
        answer: the last that was said of the ticket.
        held: whether a hold was accepted with the admission.
    """

    number: int
    user: str
    comes_at: float
    asked_at: float = 0
    drawn_at: float = 0
    early: bool | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    held: bool = False


@dataclass
class Crowd:
    """A run, and what was counted in it."""

    url: str
    event: str
    opens_at: int
    rate: int
    people: list[Person]
    took_s: float = 0
    again: int = 0
    latencies_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Tickets that were drawn, and seats that were held."""
        return sum(bool(person.answer) + person.held for person in self.people)


def gather(client: Client, url: str, people: int, rate: int, *, lead_s: float, early: float, seed: int = 1) -> Crowd:
    """Makes an event with a waiting room, and those who will come: a share before the opening, the rest after it for as
    long as that takes to let the early in.

    Arguments:
        client: of the service at `url`.
        people: as many seats as the event has.
        rate: admissions a minute.
        lead_s: how long before its opening the event is made, seconds.
        early: the share of those who come before.
        seed: of who comes when.
    """
    chance = random.Random(seed)  # noqa: S311 - hides nothing
    terms = {"name": "Benchmark", "totalSeats": people}
    made_at = client.json("POST", "/events/create", {**terms, "totalSeats": 10})["createdAt"]
    opens_at = made_at + round(lead_s * 1000)
    event = client.json(
        "POST", "/events/create", {**terms, "opensAt": opens_at, "waitingRoom": {"admitPerMinute": rate}}
    )
    start = time.monotonic()
    first = round(people * early)
    lasts_s = first * 60 / rate
    times = sorted(start + chance.random() * lead_s * 0.7 for _ in range(first))
    times += sorted(start + lead_s + chance.random() * lasts_s for _ in range(people - first))
    users = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(people)]
    everybody = [Person(n + 1, user, at) for n, (user, at) in enumerate(zip(users, times, strict=True))]
    return Crowd(url, event["id"], opens_at, rate, everybody)


def wait(crowd: Crowd, threads: int) -> None:
    """Has everybody come, wait, and hold a seat."""
    began = time.monotonic()
    running = [threading.Thread(target=_wait, args=(crowd, crowd.people[n::threads])) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    crowd.took_s = time.monotonic() - began


def _wait(crowd: Crowd, people: Sequence[Person]) -> None:
    client = Client(crowd.url)
    try:
        _take_turns(crowd, client, people)
    except Exception as error:  # noqa: BLE001 - said in the end
        crowd.wrong.append(repr(error))
    finally:
        client.close()


def _take_turns(crowd: Crowd, client: Client, people: Sequence[Person]) -> None:
    """Those of one thread, over one connection: whose turn it is next."""
    queue = f"/events/{crowd.event}/queue"
    due = [(person.comes_at, person.number, person) for person in people]
    heapq.heapify(due)
    while due and not crowd.wrong:
        at, _, person = heapq.heappop(due)
        time.sleep(max(0.0, at - time.monotonic()))
        if not person.answer:
            person.asked_at = time.monotonic()
            status, answer, headers = _send(crowd, client, "draw", "POST", queue, {"UUID": person.user})
            person.drawn_at = time.monotonic()
            # 200: an answer before this one was lost.
            if status == 201 or answer.get("status") == "early":
                person.early = answer["status"] == "early"
            if status == 201 and person.number % _EVERY == 0:
                status, again, headers = _send(crowd, client, "draw", "POST", queue, {"UUID": person.user})
                if again["ticket"] != answer["ticket"]:
                    crowd.wrong.append(f"two tickets: {answer}, {again}")
        else:
            status, answer, headers = _send(crowd, client, "look", "GET", person.answer["statusEndpoint"])
        if status not in (200, 201):
            crowd.wrong.append(f"{status} {answer} for {person}")
            return
        _keep(crowd, person, answer)
        if answer["status"] != "admitted":
            heapq.heappush(due, (time.monotonic() + int(headers["retry-after"]), person.number, person))
            continue
        body = {"id": f"{crowd.event}-{person.number}", "UUID": person.user}
        status, held, _ = _send(crowd, client, "hold", "POST", "/seats/hold", body, Admission=answer["admission"])
        person.held = status == 202
        if not person.held:
            crowd.wrong.append(f"{status} {held} for {person}")


def _keep(crowd: Crowd, person: Person, answer: dict[str, Any]) -> None:
    """Takes an answer, which must agree with those before."""
    before = person.answer
    slots = before.get("admittedAt"), answer.get("admittedAt")
    if (before and before["ticket"] != answer["ticket"]) or (slots[0] and slots[0] != slots[1]):
        crowd.wrong.append(f"first {before}, then {answer}")
    if answer["status"] == "admitted" and answer["serverTime"] < answer["admittedAt"] - 1:
        crowd.wrong.append(f"before its time: {answer}")
    person.answer = answer


def _send(
    crowd: Crowd, client: Client, kind: str, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """One request, sent again where no answer comes, as clients should."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        sent = time.monotonic()
        try:
            status, answer, found = client.send(method, path, body, **headers)
        except (OSError, http.client.HTTPException):
            status, answer, found = 503, b"", {}
            client.close()
        if status != 503 or time.monotonic() > until:
            crowd.latencies_ms[kind].append((time.monotonic() - sent) * 1000)
            return status, json.loads(answer or b"{}"), found
        crowd.again += 1
        time.sleep(0.1)
