"""Events: creating them whole, reading them, and listing their free seats."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from reservation import keys
from reservation.codes import Code
from reservation.errors import KeyInUse, KeyReused, NotFound, StateUnavailable, WrongTimes, refusal
from reservation.idempotency import Once
from reservation.ids import SeatId, new_event_id, new_secret
from reservation.layouts import default_sections, sections_of
from reservation.models import Event, EventList, EventSummary, Layout, SeatMap, WaitingRoom
from reservation.requests import NewLayout
from reservation.rooms import Rooms
from reservation.scripts import Scripts

#: How long an event stays among the active after it was last touched, ms. Longer than any accept can
#: take between its touch and its write.
_IDLE_GRACE_MS = 60_000
#: How long after its creation began an event that is still not published is given up, ms.
_ABANDONED_MS = 600_000
#: How long it is remembered that an event was given up, ms: longer than a call can be on its way.
_REMEMBER_MS = 86_400_000
#: How long whoever has begun to create an event keeps others off that send the same request, ms. Only the 409
#: depends on it: they would make the same event.
_CLAIM_MS = 5_000
#: What of an event's hash makes an Event, beside its id.
_FIELDS = ("name", "totalSeats", "createdAt", "opensAt", "closesAt", "admitPerMinute", "admissionTtl")
#: Seats written by one script call. 250 take about a millisecond, in which nobody else is served.
_BATCH = 250


class FreeList(NamedTuple):
    """Free seats in the order of their numbers.

    Attributes:
        etag: names the list's content; equal while nothing has changed.
        total: all free seats of the event.
        ids: seat ids, or None when the caller's ETag still holds.
        more: whether free seats follow the last one.
    """

    etag: str
    total: int
    ids: list[str] | None
    more: bool


class Seating(NamedTuple):
    """Every seat of an event.

    Attributes:
        etag: names what it says, but for the time; equal while nothing has changed.
        map: the seats, or None when the caller's ETag still holds.
    """

    etag: str
    map: SeatMap | None


class EventLoad(NamedTuple):
    """What an event has going on.

    Attributes:
        exists: whether it has been published.
        now: the server's clock, epoch ms.
        due: holds whose time is up and that nobody has freed yet.
        holds: all holds, those that are due included.
        open_jobs: jobs that have not ended.
        startable: of them, those whose time has come and that nobody has started yet.
    """

    exists: bool
    now: int
    due: int
    holds: int
    open_jobs: int
    startable: int

    @property
    def idle(self) -> bool:
        return not self.holds and not self.open_jobs


class _GivenUp(Exception):
    """Raised when the creation of an event was given up meanwhile."""


class Events:
    """Creates and reads events.

    Arguments:
        scripts: on the state database.
        new_id: makes an id; replaced where a test needs to know it.
    """

    def __init__(self, scripts: Scripts, new_id: Callable[[], str] = new_event_id) -> None:
        self._scripts = scripts
        self._new_id = new_id

    def create(
        self,
        name: str,
        total_seats: int,
        once: Once | None = None,
        *,
        opens_at: int | None = None,
        closes_at: int | None = None,
        room: WaitingRoom | None = None,
        layout: NewLayout | None = None,
    ) -> Event:
        """Creates an event with seats 1 to `total_seats`, all free.

        The seats are written in batches and the event last, so a creation that breaks off leaves
        nothing to see; the sweeper removes its remains. Raises WrongTimes, StateUnavailable; KeyReused, KeyInUse.

        Arguments:
            once: the request, if it may be sent again. What has begun is gone on with then, or found.
            opens_at: when sales begin, epoch ms; None: at once.
            closes_at: when they end, after that, and not yet; None: never.
            room: how who wants to hold seats is let in; None: everybody is.
            layout: where the seats are; it has `total_seats`.
        """
        terms: dict[str, str | int] = {}
        if opens_at is not None:
            terms["opensAt"] = opens_at
        if closes_at is not None:
            terms["closesAt"] = closes_at
        if room is not None:
            terms.update(Rooms.fields(room))
        if layout is not None:
            terms["layout"] = layout.model_dump_json(by_alias=True, exclude_defaults=True)
        if once is not None:
            return self._create_once(name, total_seats, terms, once)
        try:
            return self._create(self._index_new_id(terms), name, total_seats, terms)
        except _GivenUp:
            raise StateUnavailable from None  # it took ten minutes

    def _create_once(self, name: str, total_seats: int, terms: Mapping[str, str | int], once: Once) -> Event:
        arguments: list[str | int] = [once.fingerprint, new_secret(), once.ttl_ms, _CLAIM_MS]
        code, *reply = self._scripts.run("claim_event", [once.record], arguments)
        if code == Code.KEY_REUSED:
            raise KeyReused
        secret, just_claimed = reply
        ids = once.event_ids(secret)
        for event_id in ids:
            with suppress(NotFound):
                event = self.get(event_id)
                once.replayed = True
                return event
        if just_claimed:
            raise KeyInUse
        for event_id in ids:
            self._index(event_id, terms)
            with suppress(_GivenUp):
                return self._create(event_id, name, total_seats, terms)
        raise StateUnavailable

    def _create(self, event_id: str, name: str, total_seats: int, terms: Mapping[str, str | int]) -> Event:
        event = [keys.event(event_id), keys.abandoned(event_id), keys.seats(event_id)]
        for first in range(1, total_seats + 1, _BATCH):
            numbers = range(first, min(first + _BATCH, total_seats + 1))
            seats = [keys.seat(SeatId(event_id, number)) for number in numbers]
            names = [*event, keys.available(event_id), *seats]
            code, _ = self._scripts.run("create_seats", names, [event_id, first], alone=True)
            if code != Code.OK:
                raise _GivenUp
        more = [part for field in terms.items() for part in field]
        code, created_at = self._scripts.run("publish_event", event, [event_id, name, total_seats, *more])
        if code == Code.EVENT_ABANDONED:
            raise _GivenUp
        if code != Code.PUBLISHED:
            raise AssertionError(f"event {event_id} lacks seats after all batches were written")
        fields = {"name": name, "totalSeats": total_seats, "createdAt": created_at, **terms}
        return Event(id=event_id, **_members([fields.get(field) for field in _FIELDS]))

    def _index_new_id(self, terms: Mapping[str, str | int]) -> str:
        # Indexed first: what a creation that breaks off leaves behind can then be found.
        while True:
            event_id = self._new_id()
            if self._index(event_id, terms):
                return event_id

    def _index(self, event_id: str, terms: Mapping[str, str | int]) -> bool:
        """Whether the id was not taken. Raises WrongTimes if the event's sale is over before it begins."""
        indexed = self._scripts.run("index_event", [keys.EVENTS], [event_id, terms.get("closesAt", 0)])
        if indexed < 0:
            raise WrongTimes("must be in the future")
        return bool(indexed)

    def change(
        self, event_id: str, *, opens_at: int | None = None, closes_at: int | Literal["never", ""] = ""
    ) -> Event:
        """Changes when sales begin and end. A time that is past means now. Raises NotFound, WrongTimes, OpeningFixed,
        StateUnavailable.

        Arguments:
            opens_at: None: as it is.
            closes_at: empty: as it is.
        """
        arguments = ["" if opens_at is None else opens_at, closes_at, *_FIELDS]
        code, _, *fields = self._scripts.run("change_event", [keys.event(event_id), keys.early(event_id)], arguments)
        if code != Code.OK:
            raise refusal(Code(code))
        return Event(id=event_id, **_members(fields[0]))

    def get(self, event_id: str) -> Event:
        """Reads an event. Raises NotFound, StateUnavailable."""
        fields = self._scripts.execute("HMGET", keys.event(event_id), *_FIELDS)
        if fields[0] is None:
            raise refusal(Code.EVENT_UNKNOWN)
        return Event(id=event_id, **_members(fields))

    def layout(self, event_id: str) -> Layout:
        """Where an event's seats are. Raises NotFound, StateUnavailable."""
        total, given = self._scripts.execute("HMGET", keys.event(event_id), "totalSeats", "layout")
        if total is None:
            raise refusal(Code.EVENT_UNKNOWN)
        sections = sections_of(NewLayout.model_validate_json(given)) if given else default_sections(int(total))
        return Layout(event=event_id, total_seats=int(total), given=bool(given), sections=sections)

    def newest(self, limit: int, after: str = "") -> EventList:
        """Lists events with the numbers of their seats, those that were begun last first. One that is begun meanwhile
        moves no page.

        Arguments:
            limit: most events to list.
            after: list only those that follow this event.

        Raises NotFound if there is no such event; StateUnavailable, also if only one of them cannot be reached:
        none is left out.
        """
        found: list[EventSummary] = []
        last = after
        while len(found) <= limit:
            code, *rest = self._scripts.run("newest_events", [keys.EVENTS], [last, limit + 1])
            if code == Code.EVENT_UNKNOWN:
                if last == after:
                    raise refusal(Code.EVENT_UNKNOWN)
                return self.newest(limit, after)  # one that was not published, and has just been given up
            (ids,) = rest
            found += self._summaries(ids)
            if len(ids) <= limit:
                break
            last = ids[-1]
        return EventList(events=found[:limit], next_cursor=found[limit - 1].id if len(found) > limit else None)

    def _summaries(self, event_ids: Sequence[str]) -> list[EventSummary]:
        """Of those that are published. Raises StateUnavailable."""
        replies = self._scripts.run_each("count_seats", [(_all_seat_sets(event_id), []) for event_id in event_ids])
        if None in replies:
            raise StateUnavailable
        return [
            EventSummary(id=event_id, free=free, held=held, reserved=reserved, blocked=blocked, **_members(fields))
            for event_id, (code, *rest) in zip(event_ids, replies, strict=True)
            if code == Code.OK
            for free, held, reserved, blocked, *fields in [rest]
        ]

    def list_free(self, event_id: str, *, after: int = 0, limit: int = 0, known: str = "") -> FreeList:
        """Lists free seats. A hold whose time is up counts as free.

        Arguments:
            after: list only seats with a higher number.
            limit: most seats to list; 0 lists all.
            known: an ETag; if it still holds, no ids are read.

        Raises NotFound, StateUnavailable.
        """
        code, *reply = self._scripts.run(
            "list_free",
            _seat_sets(event_id),
            [after, limit, known],
            alone=not limit,
        )
        if code == Code.EVENT_UNKNOWN:
            raise refusal(Code.EVENT_UNKNOWN)
        if code == Code.UNCHANGED:
            return FreeList(reply[0], reply[1], None, False)
        etag, total, ids, more = reply
        return FreeList(etag, total, ids.split(",") if ids else [], bool(more))

    def seat_map(self, event_id: str, known: str = "") -> Seating:
        """Every seat's state, and the number of the last change that is in it. A hold whose time is up counts as free,
        though the change that says so may be still to come.

        Arguments:
            known: an ETag; if it still holds, no seats are read.

        Raises NotFound, StateUnavailable.
        """
        code, now, *reply = self._scripts.run("seat_map", _all_seat_sets(event_id), [known], alone=True)
        if code == Code.EVENT_UNKNOWN:
            raise refusal(Code.EVENT_UNKNOWN)
        if code == Code.UNCHANGED:
            return Seating(reply[0], None)
        etag, sequence, free, held, reserved, blocked, letters = reply
        seats = SeatMap(
            event=event_id,
            sequence=sequence,
            server_time=now,
            free=free,
            held=held,
            reserved=reserved,
            blocked=blocked,
            seats=letters,
        )
        return Seating(etag, seats)

    def active(self) -> list[str]:
        """Events that may have open jobs or holds. Raises StateUnavailable."""
        return list(self._scripts.execute("ZRANGE", keys.ACTIVE, 0, -1))

    def page(self, offset: int, most: int) -> list[str]:
        """All events by creation, a stretch of them. Raises StateUnavailable."""
        return list(self._scripts.execute("ZRANGE", keys.EVENTS, offset, offset + most - 1))

    def load(self, event_id: str) -> EventLoad:
        """What the event has going on. Raises StateUnavailable."""
        return _load(self._scripts.run("event_load", _load_keys(event_id)))

    def load_each(self, event_ids: Sequence[str]) -> dict[str, EventLoad]:
        """The same of several events, in one go, of those that can be reached. Raises StateUnavailable if none can."""
        replies = self._scripts.run_each("event_load", [(_load_keys(event_id), []) for event_id in event_ids])
        return {event_id: _load(reply) for event_id, reply in zip(event_ids, replies, strict=True) if reply is not None}

    def touch(self, event_id: str) -> None:
        """Puts the event among the active ones. Raises StateUnavailable."""
        self._scripts.run("touch_event", [keys.ACTIVE], [event_id])

    def drop_idle(self, event_ids: Sequence[str]) -> None:
        """Takes events that were found idle from the active ones, but for those touched within the last
        minute. Raises StateUnavailable."""
        self._scripts.run_each("drop_idle", [([keys.ACTIVE], [event_id, _IDLE_GRACE_MS]) for event_id in event_ids])

    def remove_unpublished(self, event_id: str) -> bool:
        """Removes the remains of a creation, or of a removal, that broke off; of one that began less than ten minutes
        ago, it waits. Returns whether there were any. Raises StateUnavailable."""
        if not self._scripts.run("abandoned", [keys.EVENTS], [event_id, _ABANDONED_MS]):
            return False
        event = [keys.event(event_id), keys.abandoned(event_id)]
        if not self._scripts.run("abandon_event", event, [_REMEMBER_MS]):
            return False
        self.remove_rest(event_id)
        return True

    def remove_rest(self, event_id: str) -> None:
        """Removes all that there is of an event that was never published, or whose hash is removed; but for what
        expires by itself. What is left if this breaks off is found by the event's place in the index, which goes last.
        Raises StateUnavailable."""
        execute, execute_each = self._scripts.execute, self._scripts.execute_each
        hooks = {field.partition(":")[0] for field in execute("HKEYS", keys.webhooks(event_id))}
        for hook_id in hooks - {"changes", "failures"}:
            execute("UNLINK", *keys.webhook(event_id, hook_id))
        while ids := execute("SRANDMEMBER", keys.seats(event_id), _BATCH):
            seats = [SeatId.parse(text) for text in ids]
            users = set(execute_each([("HGET", keys.seat(seat), "UUID") for seat in seats])) - {None, ""}
            # Before the seats, which name them.
            if users:
                execute("UNLINK", *(keys.buyer(event_id, user) for user in users))
            execute("UNLINK", *keys.seat_keys(seats))
            execute("SREM", keys.seats(event_id), *ids)
        execute("UNLINK", *keys.of_event(event_id))
        for index in (keys.WEBHOOK_EVENTS, keys.ACTIVE, keys.EVENTS):
            execute("ZREM", index, event_id)


def _members(fields: Sequence[str | int | None]) -> dict[str, Any]:
    """An Event's members, of the values of _FIELDS."""
    name, total, created, opens_at, closes_at, admit_per_minute, admission_ttl = fields
    room = None
    if admit_per_minute is not None:
        room = {"admit_per_minute": admit_per_minute, "admission_ttl": admission_ttl}
    return {
        "name": name,
        "total_seats": total,
        "created_at": created,
        "opens_at": opens_at,
        "closes_at": closes_at,
        "waiting_room": room,
    }


def _seat_sets(event_id: str) -> list[str]:
    return [keys.event(event_id), keys.available(event_id), keys.holds(event_id)]


def _all_seat_sets(event_id: str) -> list[str]:
    return [*_seat_sets(event_id), keys.blocked(event_id)]


def _load_keys(event_id: str) -> list[str]:
    return [keys.event(event_id), keys.holds(event_id), keys.jobs(event_id)]


def _load(reply: list[int]) -> EventLoad:
    exists, *numbers = reply
    return EventLoad(bool(exists), *numbers)
