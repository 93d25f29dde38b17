"""Who is at work: heartbeats of workers and sweepers, by the server's clock."""

from collections import Counter
from typing import NamedTuple

from reservation import keys
from reservation.scripts import Scripts

#: Time between two heartbeats, seconds, and how long one holds, milliseconds.
HEARTBEAT_S = 1.0
HEARTBEAT_TTL_MS = 5_000


class Load(NamedTuple):
    """Live processes, and how long jobs wait before a worker starts them (ms)."""

    workers: int
    sweepers: int
    lag_ms: int


class Fleet:
    """Reads and writes heartbeats.

    Arguments:
        scripts: on the state database.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def beat(self, role: str, process_id: str, lag_ms: int = -1) -> int:
        """Says that a process is alive; returns how many of its role are. Raises StateUnavailable.

        Arguments:
            role: keys.WORKERS or keys.SWEEPERS.
            lag_ms: how long a job waited before this worker started it; -1 if none came.
        """
        return int(self._scripts.run("heartbeat", [role, keys.QUEUE_LAG], [process_id, HEARTBEAT_TTL_MS, lag_ms]))

    def leave(self, role: str, process_id: str) -> None:
        """Says that a process is going. Raises StateUnavailable."""
        self._scripts.execute("ZREM", role, process_id)

    def versions(self) -> Counter[str]:
        """What versions the processes are of that said a moment ago that they live. Raises StateUnavailable."""
        names = [
            *self._scripts.execute("ZRANGE", keys.WORKERS, 0, -1),
            *self._scripts.execute("ZRANGE", keys.SWEEPERS, 0, -1),
        ]
        return Counter(name.partition("@")[2] or "unknown" for name in names)

    def partly_reachable(self) -> bool:
        """Whether it is one node of a cluster that is gone where `load` raises StateUnavailable: events that are on
        others can be sold."""
        return self._scripts.some_answer()

    def load(self) -> Load:
        """Who is alive now. Raises StateUnavailable."""
        return Load(*self._scripts.run("fleet", [keys.WORKERS, keys.SWEEPERS, keys.QUEUE_LAG]))
