"""Who is at work, and what came of it: heartbeats of workers and sweepers, by the server's clock."""

from collections import Counter
from typing import NamedTuple

from reservation import keys
from reservation.counts import FAILED_KEPT, Counts, Totals
from reservation.scripts import Scripts

#: Time between two heartbeats, seconds, and how long one holds, milliseconds.
HEARTBEAT_S = 1.0
HEARTBEAT_TTL_MS = 5_000
#: How long it is known which counts of a process were added, ms: one that is cut off for longer, after one reply was
#: lost, has a second counted twice.
_TOLD_TTL_MS = 86_400_000


class Lag(NamedTuple):
    """How long jobs wait before a worker starts them, and VIP jobs (ms)."""

    standard_ms: int = 0
    vip_ms: int = 0

    def of(self, *, vip: bool) -> int:
        return self.vip_ms if vip else self.standard_ms


class Load(NamedTuple):
    """Live processes, and how long jobs wait before a worker starts them, and VIP jobs (ms)."""

    workers: int
    sweepers: int
    lag_ms: int
    vip_lag_ms: int = 0

    @property
    def lag(self) -> Lag:
        return Lag(self.lag_ms, self.vip_lag_ms)


#: Of a process that has not started any.
_UNKNOWN = Lag(-1, -1)


class Fleet:
    """Reads and writes heartbeats.

    Arguments:
        scripts: on the state database.
        counts: what this process has to tell.
    """

    def __init__(self, scripts: Scripts, counts: Counts) -> None:
        self._scripts = scripts
        self._counts = counts

    def beat(self, role: str, process_id: str, lag: Lag = _UNKNOWN) -> int:
        """Says that a process is alive, and what it has counted; returns how many of its role are. Raises
        StateUnavailable: then the same is told again with the next one.

        Arguments:
            role: keys.WORKERS, keys.SWEEPERS or keys.SENDERS.
            lag: how long a job waited before this worker started it; -1 if none came.
        """
        return self._say(role, process_id, HEARTBEAT_TTL_MS, lag)

    def leave(self, role: str, process_id: str) -> None:
        """Says that a process is going, and what it has counted. Raises StateUnavailable."""
        self._say(role, process_id, 0, _UNKNOWN)

    def _say(self, role: str, process_id: str, holds_ms: int, lag: Lag) -> int:
        batch = self._counts.batch()
        names = [role, *keys.QUEUE_LAGS, keys.TALLY, keys.FAILED, keys.told(process_id)]
        said: list[str | int] = [process_id, holds_ms, *lag, FAILED_KEPT, _TOLD_TTL_MS]
        alive = int(self._scripts.run("heartbeat", names, [*said, *batch.arguments]))
        self._counts.told()
        return alive

    def totals(self) -> Totals:
        """What all processes have counted. Raises StateUnavailable."""
        return Totals.of(*self._scripts.run("totals", [keys.TALLY, keys.FAILED]))

    def versions(self) -> Counter[str]:
        """What versions the processes are of that said a moment ago that they live. Raises StateUnavailable."""
        names = [
            *self._scripts.execute("ZRANGE", keys.WORKERS, 0, -1),
            *self._scripts.execute("ZRANGE", keys.SWEEPERS, 0, -1),
            *self._scripts.execute("ZRANGE", keys.SENDERS, 0, -1),
        ]
        return Counter(name.partition("@")[2] or "unknown" for name in names)

    def partly_reachable(self) -> bool:
        """Whether it is one node of a cluster that is gone where `load` raises StateUnavailable: events that are on
        others can be sold."""
        return self._scripts.some_answer()

    def senders(self) -> int:
        """Live processes that send to webhooks. Raises StateUnavailable."""
        return int(self._scripts.run("fleet", [keys.SENDERS, keys.SWEEPERS, *keys.QUEUE_LAGS])[0])

    def load(self) -> Load:
        """Who is alive now. Raises StateUnavailable."""
        return Load(*self._scripts.run("fleet", [keys.WORKERS, keys.SWEEPERS, *keys.QUEUE_LAGS]))
