"""Who did what to the seats of an event, and when: its change stream, as operators read it."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from reservation import keys
from reservation.changes import TRANSITIONS
from reservation.codes import Code
from reservation.errors import refusal
from reservation.ids import SeatId
from reservation.models import AuditEntry
from reservation.scripts import Scripts

#: Entries that a script call looks at: so many take Redis about a millisecond.
_LOOK = 500
#: Calls for one page: where hardly any entry is wanted, a page ends before it is full.
_CALLS = 200


def actor_of(audit_key: bytes, event_id: str, user: str) -> str:
    """The user as the change stream shows it: the same within an event, and no way back.

    Keyed with AUDIT_KEY and the event's id (BLAKE2b, RFC 7693).
    """
    return blake2b(user.encode(), digest_size=12, key=audit_key[:32] + event_id.encode()).hexdigest()


class AuditPage(NamedTuple):
    """A stretch of what happened.

    Attributes:
        entries: oldest first.
        position: what to read on from; empty at the end.
    """

    entries: list[AuditEntry]
    position: str


class Audit:
    """Reads what happened.

    Arguments:
        scripts: on the state database.
        retention_ms: how long change streams are kept.
        audit_key: what users are hashed with.
    """

    def __init__(self, scripts: Scripts, retention_ms: int, audit_key: bytes) -> None:
        self._scripts = scripts
        self._retention_ms = retention_ms
        self._audit_key = audit_key

    def actor(self, event_id: str, user: str) -> str:
        """What a user is called in an event's entries."""
        return actor_of(self._audit_key, event_id, user)

    def page(
        self, event_id: str, position: str = "0", *, limit: int, seat: SeatId | None = None, actor: str = ""
    ) -> AuditPage:
        """The next entries. Raises NotFound, StateUnavailable.

        Arguments:
            position: of the page before; or a time, epoch ms: what happened from then on.
            limit: most entries. There may be fewer, or none, and more after them all the same.
            seat: what happened to this one alone.
            actor: what this user did alone.
        """
        names = [keys.event(event_id), keys.changes(event_id)]
        wanted = ["" if seat is None else seat.number, actor, self._retention_ms]
        found: list[AuditEntry] = []
        for _ in range(_CALLS):
            args: list[str | int] = [position, _LOOK, limit - len(found), *wanted]
            code, position, *entries = self._scripts.run("audit_page", names, args, alone=True)
            if code != Code.OK:
                raise refusal(Code(code))
            found += [_entry(event_id, entry, fields) for entry, fields in entries]
            if not position or len(found) == limit:
                break
        return AuditPage(found, position)

    def pages(self, event_id: str, *, seat: SeatId | None = None, actor: str = "") -> Iterator[list[AuditEntry]]:
        """All of it, a page at a time. Raises as `page` does, whose arguments it takes."""
        position = "0"
        while position:
            found, position = self.page(event_id, position, limit=_LOOK, seat=seat, actor=actor)
            yield found


def _entry(event_id: str, entry: str, pairs: list[str]) -> AuditEntry:
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    # What a later version writes may be unknown here: it is told all the same.
    before, after = TRANSITIONS.get(fields["cause"], (None, None))
    return AuditEntry(
        sequence=int(fields["seq"]),
        time=int(entry.partition("-")[0]),
        seat=f"{event_id}-{fields['seat']}",
        before=before,
        to=after,
        cause=fields["cause"],
        actor=fields["actor"] or None,
        job=fields["job"] or None,
        request=fields["request"] or None,
        reason=fields.get("reason"),
    )
