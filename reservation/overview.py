"""What all events together have going on, for people who watch: reads only, in pages."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from reservation import keys
from reservation.ids import JobId
from reservation.scripts import Scripts

#: Events asked about in one go: about 2 ms of the server's time, in which nobody else is served.
_PAGE = 250


Item = TypeVar("Item")


def pages(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """So many at a time."""
    return (items[first : first + size] for first in range(0, len(items), size))


class EventReport(NamedTuple):
    """One event, by the server's clock.

    Attributes:
        event_id: which.
        holds: all holds, those that are due included.
        due: holds whose time is up and that nobody has freed yet.
        open_jobs: jobs that have not ended.
        later: of them, those whose time has not come.
        ended: jobs that have, since the event was created.
        oldest_ms: how long the oldest open job could have been carried out; 0 if there is none.
    """

    event_id: str
    holds: int
    due: int
    open_jobs: int
    later: int
    ended: int
    oldest_ms: int


class Overview:
    """Looks at all active events.

    Arguments:
        scripts: on the state database.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def events(self) -> int:
        """How many events there are. Raises StateUnavailable."""
        return int(self._scripts.execute("ZCARD", keys.EVENTS))

    def active(self, most: int) -> list[str]:
        """Events that may have open jobs or holds, those that were touched last first. Raises StateUnavailable."""
        return list(self._scripts.execute("ZREVRANGE", keys.ACTIVE, 0, most - 1))

    def report(self, event_ids: Iterable[str]) -> list[EventReport]:
        """What events have going on, of those that can be reached. Raises StateUnavailable if none can."""
        return [report for page in pages(list(event_ids), _PAGE) for report in self._page(page)]

    def names(self, event_ids: Sequence[str]) -> list[str]:
        """What events are called. Raises StateUnavailable."""
        return [name or "" for name in self._each([("HGET", keys.event(e), "name") for e in event_ids])]

    def _page(self, event_ids: Sequence[str]) -> Iterable[EventReport]:
        calls: list[tuple[list[str], list[str | int]]] = [
            ([keys.event(e), keys.holds(e), keys.jobs(e)], []) for e in event_ids
        ]
        replies = self._scripts.run_each("event_report", calls)
        # The oldest job's key is not one that the script could have declared.
        found = [(e, reply) for e, reply in zip(event_ids, replies, strict=True) if reply is not None]
        oldest = [JobId.parse(reply[-1]) for _, reply in found if reply[-1]]
        times = self._each([("HMGET", keys.job(j), "createdAt", "notBefore") for j in oldest])
        since = dict(zip(oldest, times, strict=True))
        for event_id, (now, holds, due, open_jobs, later, ended, job) in found:
            # None too if it has ended, and its result is no longer kept, since.
            of_job = [int(time) for time in since[JobId.parse(job)] or () if time] if job else []
            yield EventReport(event_id, holds, due, open_jobs, later, ended, max(0, now - max(of_job, default=now)))

    def _each(self, commands: list[tuple[str, ...]]) -> list[Any]:
        return list(self._scripts.execute_each(commands)) if commands else []
