"""Removes events some time after their sales have ended, archived first if wanted
(docs/decisions/0027-an-events-life.md).

It may break off anywhere, and be done by several at once. An archive is there as a whole before anything is removed.
The event's own hash goes next, in one step with the question whether anything has changed meanwhile; then the rest, and
last its place among the events, by which the sweeper finds what is left of it.
"""

import structlog

from reservation import keys, metrics
from reservation.archive import Archive
from reservation.events import Events
from reservation.scripts import Scripts
from reservation.settings import Settings

log = structlog.get_logger()

#: How often it is looked for events whose time is over, seconds.
EVERY_S = 60.0
#: Events that are looked at in one go.
_PAGE = 100
#: How long one that archives an event keeps others from doing the same, ms. Nothing but that depends on it.
_CLAIM_MS = 600_000


class Retention:
    """Removes events.

    Arguments:
        scripts: on the state database.
        events: that are there.
        keep_ms: how long they are kept after their sales have ended, ms.
        archive: None if nothing is to be kept of them.
    """

    def __init__(self, scripts: Scripts, events: Events, keep_ms: int, archive: Archive | None) -> None:
        self._scripts = scripts
        self._events = events
        self._keep_ms = keep_ms
        self._archive = archive

    @classmethod
    def of(cls, scripts: Scripts, events: Events, settings: Settings) -> "Retention":
        """As it is set."""
        archive = None
        if settings.archive_dir is not None:
            archive = Archive(scripts, events, settings.archive_dir, settings.audit_key.get_secret_value().encode())
        return cls(scripts, events, round(settings.event_retention * 1000), archive)

    def sweep(self) -> None:
        """Removes the events whose time is over. Stops where one cannot be archived, because the next could not be
        either, and they are all there for another try. Raises StateUnavailable."""
        for event_id in self._due():
            try:
                self.remove(event_id)
            except OSError as error:
                metrics.ARCHIVE_FAILED.inc()
                log.error("event not archived", event_id=event_id, error=str(error))  # noqa: TRY400 - it says all
                return

    def remove(self, event_id: str) -> bool:
        """Removes an event if its time is over; returns whether it did. Raises OSError if it cannot be archived, and
        StateUnavailable."""
        if not self._scripts.execute("SET", keys.retiring(event_id), 1, "NX", "PX", _CLAIM_MS):
            return False
        try:
            over, version = self._retire(event_id, "")
            if over and self._archive is not None:
                self._archive.write(event_id, version)
            if not over or not self._retire(event_id, version)[0]:
                return False
            self._events.remove_rest(event_id)
        finally:
            self._scripts.execute("DEL", keys.retiring(event_id))
        metrics.EVENTS_REMOVED.inc()
        log.info("event removed", event_id=event_id, archived=self._archive is not None)
        return True

    def _due(self) -> list[str]:
        due: list[str] = []
        first = 0
        while page := self._events.page(first, _PAGE):
            first += len(page)
            replies = self._scripts.run_each("retire_event", [(_names(e), [self._keep_ms, ""]) for e in page])
            due += [event_id for event_id, reply in zip(page, replies, strict=True) if reply and reply[0]]
        return due

    def _retire(self, event_id: str, version: int | str) -> tuple[bool, int]:
        over, changes = self._scripts.run("retire_event", _names(event_id), [self._keep_ms, version])
        return bool(over), changes


def _names(event_id: str) -> list[str]:
    return [keys.event(event_id), keys.holds(event_id), keys.jobs(event_id)]
