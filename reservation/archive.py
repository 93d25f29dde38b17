"""What is kept of an event that is removed: one file each (docs/operations.md has the format)."""

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from reservation import keys
from reservation.audit import Audit, actor_of
from reservation.clients import Command
from reservation.errors import StateUnavailable
from reservation.events import Events
from reservation.ids import SeatId
from reservation.scripts import Scripts

#: Of the format, for whoever reads it in ten years.
VERSION = 1
#: Seats that are read in one go.
_BATCH = 250
#: As far back as a change stream goes, whatever of it is shown, ms.
_EVER_MS = 10**15
_SEAT = ("status", "UUID", "reservedAt", "reservation", "reference", "blocked")


class Archive:
    """Writes events to files.

    Arguments:
        scripts: on the state database.
        events: that are there.
        folder: where the files go. It has to be there: one that is not mounted would keep nothing.
        audit_key: what users are hashed with.
    """

    def __init__(self, scripts: Scripts, events: Events, folder: Path, audit_key: bytes) -> None:
        self._scripts = scripts
        self._events = events
        self._audit = Audit(scripts, _EVER_MS, audit_key)
        self._audit_key = audit_key
        self._folder = folder

    def write(self, event_id: str, version: int) -> None:
        """Writes an event: the file is there as a whole, on the disk, once this returns, or not at all. One that has as
        many changes stays as it is: it may have some that Redis has dropped since. Raises OSError, NotFound,
        StateUnavailable.

        Arguments:
            version: number of the event's changes, which shall be in it.
        """
        path = self._folder / f"{event_id}.jsonl.gz"
        if _has(path, version):
            return
        for left in self._folder.glob(f".{event_id}-*"):
            left.unlink(missing_ok=True)
        number, name = tempfile.mkstemp(dir=self._folder, prefix=f".{event_id}-")
        try:
            with os.fdopen(number, "wb") as raw:
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
                    for line in self._lines(event_id, version):
                        file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                raw.flush()
                os.fsync(raw.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(self._folder)

    def _lines(self, event_id: str, version: int) -> Iterator[dict[str, Any]]:
        event = self._events.get(event_id)
        layout = self._scripts.execute("HGET", keys.event(event_id), "layout")
        given = {} if layout is None else {"layout": orjson.loads(layout)}
        settings = event.model_dump(by_alias=True, exclude_none=True)
        yield {"line": "event", "format": VERSION, "sequence": version, **settings, **given}
        for first in range(1, event.total_seats + 1, _BATCH):
            numbers = range(first, min(first + _BATCH, event.total_seats + 1))
            yield from self._seats([SeatId(event_id, number) for number in numbers])
        changes = 0
        for page in self._audit.pages(event_id):
            changes += len(page)
            yield from ({"line": "change", **e.model_dump(by_alias=True, exclude_none=True)} for e in page)
        yield {"line": "end", "seats": event.total_seats, "changes": changes}

    def _seats(self, seats: list[SeatId]) -> Iterator[dict[str, Any]]:
        commands: list[Command] = [("HMGET", keys.seat(seat), *_SEAT) for seat in seats]
        for seat, fields in zip(seats, self._scripts.execute_each(commands), strict=True):
            if fields is None:
                raise StateUnavailable
            status, user, reserved_at, reservation, reference, blocked = fields
            shown = {
                "line": "seat",
                "seat": str(seat),
                "status": "Blocked" if blocked else status,
                "actor": actor_of(self._audit_key, seat.event, user) if user else None,
                "reservedAt": int(reserved_at) if reserved_at else None,
                "reservationId": reservation,
                "reference": reference,
            }
            yield {name: value for name, value in shown.items() if value is not None}


def _has(path: Path, version: int) -> bool:
    """Whether a file has an event with so many changes."""
    try:
        with gzip.open(path) as file:
            return bool(orjson.loads(file.readline())["sequence"] == version)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
        return False


def _sync(folder: Path) -> None:
    """Sees to it that a file's new name lasts."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
