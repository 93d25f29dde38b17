"""Changes of seats, in order: what the live feed is made of. They never say who made them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reservation import keys
from reservation.codes import Code
from reservation.errors import refusal
from reservation.fields import SeatStatus
from reservation.models import Change
from reservation.scripts import Scripts

#: From what to what a seat changes, by why. An entry of the stream has the cause alone: ten thousand of them are kept
#: for a day.
TRANSITIONS: Mapping[str, tuple[SeatStatus, SeatStatus]] = {
    "held": ("Available", "On hold"),
    "refreshed": ("On hold", "On hold"),
    "reserved": ("On hold", "Reserved"),
    "released": ("On hold", "Available"),
    "expired": ("On hold", "Available"),
    "cancelled": ("Reserved", "Available"),
    "blocked": ("Available", "Blocked"),
    "unblocked": ("Blocked", "Available"),
}


class Recent(NamedTuple):
    """What has happened.

    Attributes:
        sequence: of the last change there was.
        position: the id of its entry in the stream.
        changes: those that were asked for, oldest first; None if not all of them can be told.
    """

    sequence: int
    position: str
    changes: list[Change] | None


class ChangeLog:
    """Reads the change streams of events.

    Arguments:
        scripts: on the state database.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def since(self, event_id: str, sequence: int, most: int) -> Recent:
        """What has happened since a change. Raises NotFound, StateUnavailable.

        Arguments:
            sequence: of that change; -1 for the newest changes that can be told, however many there were before.
            most: if more have been missed, none is given.
        """
        names = [keys.event(event_id), keys.changes(event_id)]
        code, *reply = self._scripts.run("changes_since", names, [sequence, most])
        if code == Code.EVENT_UNKNOWN:
            raise refusal(Code.EVENT_UNKNOWN)
        now, position, *found = reply
        if code == Code.CHANGES_GONE:
            return Recent(now, position, None)
        entries = list(zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True))
        if sequence < 0:
            unknown = [place for place, (*_, cause) in enumerate(entries) if cause not in TRANSITIONS]
            entries = entries[unknown[-1] + 1 :] if unknown else entries
        return Recent(now, position, read(event_id, entries))


def read(event_id: str, entries: Iterable[tuple[str, str, str, str]]) -> list[Change] | None:
    """The changes that entries of the stream tell; None if one has a cause that is not known here, because a later
    version wrote it: what that leaves the seat as, only the seat itself says.

    Arguments:
        entries: of each its id, which begins with its time, ms; its sequence; the seat's number; the cause.
    """
    changes = []
    for entry, sequence, number, cause in entries:
        if cause not in TRANSITIONS:
            return None
        changes.append(_change(event_id, entry, sequence, number, cause))
    return changes


def _change(event_id: str, entry: str, sequence: str, number: str, cause: str) -> Change:
    before, after = TRANSITIONS[cause]
    return Change(
        sequence=int(sequence),
        seat=f"{event_id}-{number}",
        before=before,
        to=after,
        cause=cause,  # type: ignore[arg-type]  # TRANSITIONS has them all
        time=int(entry.partition("-")[0]),
    )
