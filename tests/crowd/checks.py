"""That the early were shuffled, the later came in order, nobody came in faster than the rate, nobody was lost, and
nobody came in twice or by what is not theirs."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from math import sqrt

from bench.servers import Client
from reservation_cli.onsale_check import too_fast
from tests.crowd.people import Crowd, Person

#: Standard deviations that chance alone exceeds less than once in five million runs.
_BEYOND_CHANCE = 5.2
#: Of how many one tries what is not theirs.
_EVERY = 50
#: Shortest lifetime of an admission that there is, seconds.
_BRIEF_S = 10


def check(crowd: Crowd) -> dict[str, float]:
    """Raises AssertionError for what is not so; returns how it looked."""
    assert not crowd.wrong, "\n".join(crowd.wrong[:5])
    people = crowd.people
    assert all(person.held for person in people), "somebody was lost"
    assert len({person.answer["ticket"] for person in people}) == len(people), "two have one ticket"
    assert len({person.answer["admission"] for person in people}) == len(people), "two have one admission"
    early, later = ([one for one in people if one.early is wanted] for wanted in (True, False))
    found = {"early": float(len(early)), "later": float(len(later))}
    found.update(check_shuffle([slot(one) for one in sorted(early, key=lambda one: one.drawn_at)]))
    assert not early or not later or max(map(slot, early)) < min(map(slot, later)), "a later one before an early one"
    check_order([(one.asked_at, one.drawn_at, slot(one)) for one in later])
    slots = sorted(map(slot, people))
    assert slots[0] >= crowd.opens_at
    check_rate(slots, crowd.rate)
    found["rate"] = (len(slots) - 1) * 60_000 / (slots[-1] - slots[0])
    return found


def slot(person: Person) -> int:
    """When they are admitted, epoch ms."""
    return int(person.answer["admittedAt"])


def check_rate(slots: Sequence[int], rate: int) -> None:
    """In no stretch of time were more admitted than the rate allows, and one: `slots` in order, ms, rounded up."""
    for at in too_fast(slots, rate):
        raise AssertionError(f"too many by {at}")


def check_order(drawn: Sequence[tuple[float, float, int]]) -> None:
    """Whoever had a ticket before another asked for one is admitted before: (asked, drawn, slot) of each."""
    by_end = sorted(drawn, key=lambda one: one[1])
    done = iter(by_end)
    following, latest = next(done, None), -1
    for asked, _, at in sorted(drawn):
        while following is not None and following[1] < asked:
            latest, following = max(latest, following[2]), next(done, None)
        assert at > latest, "a later one came first"


def check_shuffle(slots: Sequence[int]) -> dict[str, float]:
    """Whether the places of those who were early have anything to do with the order in which they came: by rank
    correlation (Spearman), and by a table of both orders (chi-squared, its normal form by Wilson and Hilferty)."""
    count = len(slots)
    if count < 20:
        return {}
    ranks = {at: rank for rank, at in enumerate(sorted(slots))}
    order = [ranks[at] for at in slots]
    assert sorted(order) == list(range(count)), "two have one slot"
    rho = 1 - 6 * sum((n - rank) ** 2 for n, rank in enumerate(order)) / (count * (count**2 - 1))
    bins = min(10, int(sqrt(count / 5)))
    cells = Counter((n * bins // count, rank * bins // count) for n, rank in enumerate(order))
    sizes = Counter(n * bins // count for n in range(count))
    pairs = itertools.product(range(bins), repeat=2)
    chi2 = sum((cells[a, b] - sizes[a] * sizes[b] / count) ** 2 / (sizes[a] * sizes[b] / count) for a, b in pairs)
    free = (bins - 1) ** 2
    found = {
        "spearman": rho * sqrt(count - 1),
        "chi2": ((chi2 / free) ** (1 / 3) - 1 + 2 / (9 * free)) / sqrt(2 / (9 * free)),
    }
    assert abs(found["spearman"]) < _BEYOND_CHANCE, f"not shuffled: {found}"
    assert found["chi2"] < _BEYOND_CHANCE, f"not shuffled: {found}"
    return found


def check_strangers(crowd: Crowd, client: Client) -> None:
    """That nobody gets in by an admission of another user, of another event, or one that is over."""
    room = {"admitPerMinute": 60_000, "admissionTtl": _BRIEF_S}
    new = {"name": "Benchmark", "totalSeats": 10, "waitingRoom": room}
    other = client.json("POST", "/events/create", new)["id"]
    user = crowd.people[0].user
    drawn = client.json("POST", f"/events/{other}/queue", {"UUID": user})
    foreign = drawn["admission"]

    def hold(event: str, who: str, admission: str, number: int) -> tuple[int, str]:
        body = {"id": f"{event}-{number}", "UUID": who}
        status, answer, _ = client.send("POST", "/seats/hold", body, Admission=admission)
        return status, str(json.loads(answer).get("type", ""))

    refused = (403, "/problems/admission-required")
    for one, another in itertools.pairwise(crowd.people[::_EVERY]):
        assert hold(crowd.event, one.user, another.answer["admission"], one.number) == refused
        assert hold(crowd.event, one.user, foreign, one.number) == refused
        assert hold(crowd.event, one.user, "", one.number) == refused
    assert hold(other, user, foreign, 1)[0] == 202
    until = time.monotonic() + _BRIEF_S + 5
    while hold(other, user, foreign, 2) != refused:
        assert time.monotonic() < until, "an admission that does not end"
        time.sleep(0.2)
    assert client.send("GET", drawn["statusEndpoint"])[0] == 404
