"""What the `onsale` demo holds against each other when it is over: the seats, the audit, what was told, who came in."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reservation.errors import STATUSES
from reservation_client import AuditEntry, Seat

#: In what letter a seat map says what a seat is.
LETTERS = {status: letter for letter, status in STATUSES.items()}


class Message(NamedTuple):
    """What a webhook told of a change."""

    type: str
    seat: str
    sequence: int
    actor: str | None


@dataclass
class Owner:
    """A buyer who has seats in the end.

    Attributes:
        told: each seat that the service said is theirs, and the id of its reservation; without those given back.
        shown: their reservations, as the service lists them.
    """

    name: str
    told: dict[str, str]
    shown: Sequence[Seat] = ()


@dataclass
class Finding:
    """One thing that was checked.

    Attributes:
        checked: what, in words, with its numbers.
        wrong: a line about each thing that is not as it should be.
    """

    name: str
    checked: str
    wrong: list[str] = field(default_factory=list)


def check_owners(letters: str, event_id: str, owners: Sequence[Owner]) -> Finding:
    """Seat by seat: who was told that it is theirs has it, alone, and nobody else has one.

    Arguments:
        letters: of all seats, as in a seat map.
    """
    named = defaultdict(list)
    for owner in owners:
        for seat in owner.told:
            named[seat].append(owner.name)
    found = Finding("owners", f"{len(letters):,} seats, {letters.count('R'):,} sold to {len(owners):,} buyers")
    for number, letter in enumerate(letters, 1):
        whose = named.pop(f"{event_id}-{number}", [])
        if len(whose) > 1:
            found.wrong.append(f"seat {number} has {len(whose)} owners: {', '.join(whose)}")
        elif (letter == "R") != bool(whose):
            found.wrong.append(f"seat {number} is {letter}, and of {', '.join(whose) or 'nobody'}")
    found.wrong += [f"there is no seat {seat}, which {', '.join(whose)} was told of" for seat, whose in named.items()]
    for owner in owners:
        shown = {seat.id: seat.reservation_id for seat in owner.shown}
        if shown != owner.told:
            found.wrong.append(f"{owner.name} has {shown}, and was told of {owner.told}")
    return found


def check_audit(letters: str, entries: Sequence[AuditEntry], owners: Sequence[Owner]) -> Finding:
    """The audit has no gap, each entry takes up where the one before it left the seat, and all of it leads to what the
    seats are; and each buyer is one actor, other than everybody else.

    Arguments:
        entries: all of them, the oldest first.
    """
    found = Finding("audit", f"{len(entries):,} entries carried out: {_count(entry.cause for entry in entries)}")
    now = ["Available"] * len(letters)
    actors: dict[str, str | None] = {}
    for due, entry in enumerate(entries, 1):
        number = int(entry.seat.rpartition("-")[2])
        if entry.sequence != due:
            found.wrong.append(f"entry {entry.sequence} is where {due} should be")
        if not 1 <= number <= len(now) or entry.to not in LETTERS or entry.before != now[number - 1]:
            found.wrong.append(f"entry {entry.sequence}: {entry.seat} was {entry.before} and then {entry.to}")
            continue
        now[number - 1] = entry.to
        actors[entry.seat] = entry.actor
    for number, (status, letter) in enumerate(zip(now, letters, strict=True), 1):
        if LETTERS[status] != letter:
            found.wrong.append(f"seat {number} is {letter}; the audit leaves it {status}")
    names: dict[str | None, str] = {}
    for owner in owners:
        known = {actors.get(seat) for seat in owner.told}
        if len(known) != 1 or None in known:
            found.wrong.append(f"{owner.name} is {len(known)} actors")
        elif names.setdefault(actor := known.pop(), owner.name) != owner.name:
            found.wrong.append(f"{owner.name} and {names[actor]} are one actor")
    return found


#: What a webhook tells of, by its cause.
_TOLD = {cause: f"seat.{cause}" for cause in ("reserved", "released", "expired", "cancelled", "blocked", "unblocked")}


def check_messages(messages: Sequence[Message], forged: int, entries: Sequence[AuditEntry]) -> Finding:
    """All that the audit has of what webhooks tell was told, and nothing else.

    Arguments:
        messages: one for each `webhook-id`.
        forged: how many had a signature that is not right.
    """
    happened = Counter(
        Message(_TOLD[entry.cause], entry.seat, entry.sequence, entry.actor)
        for entry in entries
        if entry.cause in _TOLD
    )
    told = Counter(messages)
    found = Finding("webhooks", f"{len(messages):,} messages, signed: {_count(m.type for m in messages)}")
    found.wrong += [f"not told: {message}" for message in happened - told]
    found.wrong += [f"told, and not so: {message}" for message in told - happened]
    if forged:
        found.wrong.append(f"{forged} with a wrong signature")
    return found


def check_room(slots: Mapping[str, int], opens_at: int, per_minute: int) -> Finding:
    """Everybody who waited came in, after the opening, and in no stretch of time more than the rate allows.

    Arguments:
        slots: when each ticket was admitted, epoch ms.
    """
    times = sorted(slots.values())
    lasted_s = (times[-1] - times[0]) / 1000 if times else 0
    found = Finding("waiting room", f"{len(times):,} admitted in {lasted_s:.1f} s, at {per_minute:,} a minute")
    if times and times[0] < opens_at:
        found.wrong.append(f"somebody came in {opens_at - times[0]} ms before the opening")
    found.wrong += [f"too many came in by {at}" for at in too_fast(times, per_minute)]
    return found


def too_fast(times: Sequence[int], per_minute: int) -> Iterator[int]:
    """When more had come in, since any time before, than the rate allows, and one.

    Arguments:
        times: in order, epoch ms, rounded up.
    """
    furthest = float("-inf")
    for number, at in enumerate(times):
        # How late it is by an even pace: less than one before is, if too many came in between.
        behind = at - number * 60_000 / per_minute
        if behind < furthest - 1:
            yield at
        furthest = max(furthest, behind)


def check_feed(letters: str, seen: str, changes: int) -> Finding:
    """Who watched saw the seats become what they are.

    Arguments:
        seen: what the seats are, as it was pieced together from the live feed.
    """
    found = Finding("live feed", f"{changes:,} changes followed")
    found.wrong += [
        f"seat {number} is {is_}, and was seen as {was}"
        for number, (is_, was) in enumerate(zip(letters, seen, strict=True), 1)
        if is_ != was
    ]
    return found


def _count(names: Iterable[str]) -> str:
    return ", ".join(_parts(names)) or "none"


def _parts(names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).most_common():
        yield f"{count:,} {name.removeprefix('seat.')}"
