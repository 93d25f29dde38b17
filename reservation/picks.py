"""Best available: seats are picked in a step that reads only, and held in the next, all or none, as any other group's.

Whether a pick can be had, the scripts decide; where others were faster, it is picked again. What a process knows of an
event's seats for that may be out of date: it costs a try. But nobody is told that there are none before they have all
been read.
"""

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from reservation import keys
from reservation.best import Hall
from reservation.changes import TRANSITIONS
from reservation.codes import Code
from reservation.errors import STATUSES, PickAgain, ReservationError, refusal
from reservation.events import Events
from reservation.fields import Adjacent
from reservation.idempotency import Once
from reservation.ids import JobId, SeatId
from reservation.requests import Group
from reservation.scripts import Scripts
from reservation.seats import NEXT, Accepted, Lack, Named, Seats, Turn, Verdict

log = structlog.get_logger()

#: Events of which a process remembers rows and seats.
_MOST_KNOWN = 256
#: How long it goes on from what it knows by the changes alone, seconds.
_KNOWN_S = 5.0
#: Most changes that it goes on by; after more it reads all seats, which then takes no longer.
_MOST_CHANGES = 1_000
#: How long a process leaves alone what it has picked, seconds: until all processes do, because a job has picked it.
_PICKED_S = 1.0
#: After a try that others were faster at, a pick is one of the two best, then of so many.
_MOST_CHOICES = 8
#: Tries until a job is entered whose seats are gone, and which gets others when it is carried out.
_MOST_TRIES = 8

#: What a change leaves a seat as, in the letters of a seat map.
_LETTERS = {status: letter.encode() for letter, status in STATUSES.items()}
_LEFT_AS = {cause: _LETTERS[after] for cause, (_, after) in TRANSITIONS.items()}


class _Known(NamedTuple):
    """What is known of an event's seats.

    Attributes:
        sequence: number of the last change that is in it.
        letters: of all seats, as in a seat map.
        picked: numbers of seats that open jobs have picked.
        read_at: when they were all read, of this process's clock, seconds.
    """

    hall: Hall
    sequence: int
    letters: str
    picked: tuple[int, ...]
    read_at: float


class _Pick(NamedTuple):
    """What is picked.

    Attributes:
        seats: those, or why there are none.
        by_others: other open jobs have picked them too, or may have; there are no others.
    """

    seats: tuple[SeatId, ...] | Lack
    by_others: bool = False


class BestSeats:
    """Picks the best seats and has them held.

    Arguments:
        scripts: on the state database.
        events: whose layouts and seats are read.
        seats: that are held.
    """

    def __init__(self, scripts: Scripts, events: Events, seats: Seats) -> None:
        self._scripts = scripts
        self._events = events
        self._seats = seats
        self._known: OrderedDict[str, _Known] = OrderedDict()
        #: By event, the numbers of seats that were picked here, and until when they are left alone.
        self._picked: dict[str, dict[int, float]] = {}
        # Not while anything is asked of Redis: a task of a round would keep it from the others.
        self._lock = threading.Lock()

    def accept(
        self,
        group: Group,
        user: str,
        job_id: JobId,
        request_id: str = "",
        *,
        lag_ms: int = 0,
        once: Once | None = None,
        admission: str = "",
        turn: Turn = NEXT,
    ) -> tuple[Accepted, tuple[SeatId, ...]]:
        """Enters a job for the best seats in the ledger, with those that it tries first. Raises NotSeated, and what
        `Seats.accept_hold` does but PickAgain."""
        tries = 0
        while True:
            wanted = group.event_id, group.quantity, group.adjacent
            picked = self._ideal(*wanted) if self._seats.is_later(turn) else self._pick(*wanted, tries)
            if isinstance(picked.seats, Lack):
                return self._seats.refuse(group.event_id, picked.seats, once), ()
            tries += 1
            gone = picked.by_others or tries == _MOST_TRIES
            try:
                accepted = self._seats.accept_hold(
                    picked.seats,
                    user,
                    job_id,
                    request_id,
                    lag_ms=lag_ms,
                    once=once,
                    admission=admission,
                    adjacent=group.adjacent,
                    gone=gone,
                    turn=turn,
                )
            except PickAgain:
                continue
            except ReservationError:
                self._put_back(picked.seats)
                raise
            if accepted.job_id != str(job_id):
                self._put_back(picked.seats)
            return accepted, picked.seats

    def hold(self, seats: Named, user: str, job_id: JobId, request_id: str = "") -> Verdict:
        """Holds the seats for a job and writes the verdict. If it is one for the best seats and others have these by
        now, others are picked, until it has a verdict. Raises StateUnavailable."""
        verdict = self._seats.hold(seats, user, job_id, request_id)
        first = (seats,) if isinstance(seats, SeatId) else seats
        tries = 0
        while verdict.code == Code.PICK_AGAIN:
            tries += 1
            seats_now = self._pick(job_id.event, len(first), verdict.adjacent, tries).seats
            if isinstance(seats_now, Lack):
                verdict = self._seats.decline(first, user, job_id, seats_now)
            else:
                verdict = self._seats.hold(seats_now, user, job_id, request_id)
        if tries:
            log.info("seats picked again", tries=tries)
        return verdict

    def _pick(self, event_id: str, wanted: int, adjacent: Adjacent, tries: int) -> _Pick:
        """The best seats, or why there are none; after tries that others were faster at, one of the best few, or all
        would go on to try for the same. Raises NotFound, StateUnavailable."""
        # Whoever has lost several times does not go by what this process knows.
        known = self._look(event_id, anew=tries % 4 == 3)
        seats = self._choose(event_id, known, wanted, adjacent, min(1 << tries, _MOST_CHOICES))
        if seats:
            return _Pick(_of(event_id, seats))
        known = self._look(event_id, anew=True)
        if seats := known.hall.pick(known.letters, wanted, adjacent):
            return _Pick(_of(event_id, seats), by_others=True)
        free = known.letters.count("A")
        code = Code.TOO_FEW_SEATS if free < wanted else Code.NO_SEATS_TOGETHER
        return _Pick(Lack(code, known.hall.largest_block(known.letters), free))

    def _ideal(self, event_id: str, wanted: int, adjacent: Adjacent) -> _Pick:
        """The best seats if all were free, for a job that is carried out later: what is free then, nobody knows. Or why
        there cannot be any. Raises as `_pick` does."""
        known = self._look(event_id, anew=False)
        all_free = "A" * len(known.letters)
        if seats := known.hall.pick(all_free, wanted, adjacent):
            return _Pick(_of(event_id, seats), by_others=True)
        code = Code.TOO_FEW_SEATS if len(all_free) < wanted else Code.NO_SEATS_TOGETHER
        return _Pick(Lack(code, known.hall.largest_block(all_free), len(all_free)))

    def _choose(self, event_id: str, known: _Known, wanted: int, adjacent: Adjacent, choices: int) -> list[int]:
        """One of the best choices among the seats that nobody has picked, here or elsewhere; none if there is none."""
        now = time.monotonic()
        with self._lock:
            picked = self._picked.setdefault(event_id, {})
            for number, until in list(picked.items()):
                if until <= now:
                    del picked[number]
            letters = bytearray(known.letters, "ascii")
            _take(letters, known.picked)
            _take(letters, picked)
            chosen: list[int] = []
            for _ in range(random.randint(1, choices)):  # noqa: S311 - nothing depends on it that is secret
                if not (seats := known.hall.pick(letters.decode(), wanted, adjacent)):
                    break
                chosen = seats
                _take(letters, seats)
            picked.update(dict.fromkeys(chosen, now + _PICKED_S))
        return chosen

    def _put_back(self, seats: Iterable[SeatId]) -> None:
        """Lets seats be picked that were, and are not wanted."""
        with self._lock:
            for seat in seats:
                self._picked.get(seat.event, {}).pop(seat.number, None)

    def _look(self, event_id: str, *, anew: bool) -> _Known:
        """What the seats are now: what is known with what has changed since, unless they are read anew. Raises
        NotFound, StateUnavailable."""
        before = self._known.get(event_id)
        # Before the changes: a seat that is picked, and then on hold, is one or the other at any time between.
        picked = self._scripts.execute("ZRANGE", keys.picked(event_id), 0, -1)
        known = None
        if before is not None and not anew and time.monotonic() - before.read_at <= _KNOWN_S:
            known = self._go_on(event_id, before)
        if known is None:
            hall = Hall(self._events.layout(event_id).sections) if before is None else before.hall
            seats = self._events.seat_map(event_id).map
            if seats is None:
                raise AssertionError("no ETag was given that could still hold")
            known = _Known(hall, seats.sequence, seats.seats, (), time.monotonic())
        known = known._replace(picked=tuple(map(int, picked)))
        with self._lock:
            self._known[event_id] = known
            self._known.move_to_end(event_id)
            if len(self._known) > _MOST_KNOWN:
                forgotten, _ = self._known.popitem(last=False)
                self._picked.pop(forgotten, None)
        return known

    def _go_on(self, event_id: str, known: _Known) -> _Known | None:
        """What is known with what has changed since; None if that cannot be told. Raises NotFound, StateUnavailable."""
        names = [keys.event(event_id), keys.changes(event_id)]
        code, *reply = self._scripts.run("changes_since", names, [known.sequence, _MOST_CHANGES])
        if code == Code.EVENT_UNKNOWN:
            raise refusal(Code.EVENT_UNKNOWN)
        if code != Code.OK:
            return None
        sequence, _, *found = reply
        if not found:
            return known
        letters = bytearray(known.letters, "ascii")
        for number, cause in zip(found[2::4], found[3::4], strict=True):
            if cause not in _LEFT_AS:
                return None
            letters[int(number) - 1 : int(number)] = _LEFT_AS[cause]
        return known._replace(sequence=sequence, letters=letters.decode())


def _of(event_id: str, numbers: Iterable[int]) -> tuple[SeatId, ...]:
    return tuple(SeatId(event_id, number) for number in numbers)


def _take(letters: bytearray, numbers: Iterable[int]) -> None:
    for number in numbers:
        letters[number - 1 : number] = b"-"
