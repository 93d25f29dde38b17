"""What VIP jobs and standard ones wait for, and in which order a worker carries them out.

    python bench/turns.py [JOBS]

A worker process on an embedded server finds a backlog of so many holds: standard ones, VIP ones, or half and half.
Until that is worked off, a VIP hold and a standard one are accepted every 10 ms. A hold waits from its acceptance until
it has ended, by the state's clock. Which ended were VIP ones is counted in the event's history, while the backlog had
some.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, quantiles
from typing import Any, cast
from uuid import uuid4

from rich.console import Console

from actors.queue import Queue
from reservation import keys
from reservation.embedded import EmbeddedRedis
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.seats import Turn
from reservation.settings import Settings
from reservation.store import Store

#: Seats of the event: more than the holds of a run.
_SEATS = 10_000
#: Time between two holds of each kind that come while a backlog is worked off, seconds.
_EVERY_S = 0.01
#: Jobs in a row of which the VIP ones are counted.
_STRETCH = 100


class Sale:
    """One event, whose seats are held one after another, each by another user.

    Attributes:
        late: jobs that came while the backlog was worked off, by whether they are VIP ones.
    """

    def __init__(self, url: str) -> None:
        settings = Settings(_env_file=None, redis_url=url, hold_job_deadline=300)  # type: ignore[call-arg]  # pydantic-settings takes more than mypy sees
        self._store = Store.connect(settings, connections=2)
        self._queue = Queue.connect(settings, self._store, connections=2)
        self._event = self._store.events.create("On sale", _SEATS).id
        self._vip: list[bool] = []
        self._backlog = 0
        self.late: dict[bool, list[JobId]] = {True: [], False: []}

    def fill(self, vips: Sequence[bool]) -> None:
        """Makes the backlog."""
        for vip in vips:
            self._send(vip)
        self._backlog = len(vips)

    def _send(self, vip: bool) -> JobId:
        self._vip.append(vip)
        seat, job, user = SeatId(self._event, len(self._vip)), JobId.new(self._event), str(uuid4())
        self._store.seats.accept_hold(seat, user, job, turn=Turn(vip))
        self._queue.send_jobs([(job, Task("HOLD_SEAT", (seat,), user, "", vip=vip))])
        return job

    def go_on(self) -> None:
        """Sends more from when the first hold is carried out until as many are as the backlog had."""
        due = 0.0
        while (ended := self._ended()) < self._backlog:
            if ended:
                for vip, jobs in self.late.items():
                    jobs.append(self._send(vip))
            due = max(due, time.monotonic()) + _EVERY_S
            time.sleep(max(0.0, due - time.monotonic()))
        while self._ended() < len(self._vip):
            time.sleep(_EVERY_S)

    def _ended(self) -> int:
        return int(self._store.client.hget(keys.event(self._event), "version") or 0)

    def waited_ms(self, *, vip: bool) -> list[int]:
        """How long those waited that came later."""
        return [(job.completed_at or 0) - job.created_at for job in self._store.jobs.read_each(self.late[vip])]

    def vips(self) -> list[int]:
        """How many of each so many holds that were carried out in a row were VIP ones, while the backlog had some."""
        changes = cast(Any, self._store.client.xrange(keys.changes(self._event)))
        order = [int(fields["seat"]) - 1 for _, fields in changes]
        last = max(place for place, seat in enumerate(order) if self._vip[seat] and seat < self._backlog)
        vips = [self._vip[seat] for seat in order[:last]]
        return [sum(vips[first : first + _STRETCH]) for first in range(0, last - _STRETCH, _STRETCH)]


@contextmanager
def _worker(url: str) -> Iterator[None]:
    settings = {"REDIS_URL": url, "LOG_LEVEL": "warning"}
    process = subprocess.Popen([sys.executable, "-m", "reservation_cli", "worker"], env={**os.environ, **settings})
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main(jobs: int) -> None:
    """Measures each backlog once."""
    out = Console(width=120)
    for name, backlog in {
        "standard": [False] * jobs,
        "VIP": [True] * jobs,
        "mixed": [True, False] * (jobs // 2),
    }.items():
        with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
            sale = Sale(server.url())
            sale.fill(backlog)
            with _worker(server.url()):
                sale.go_on()
            out.print(f"a backlog of {jobs} {name} ones; of each that came meanwhile waited")
            for vip, lane in ((True, "VIP"), (False, "standard")):
                waited = sale.waited_ms(vip=vip)
                at = quantiles(waited, n=100)
                out.print(f"  {lane:8}  p50 {at[49]:5.0f} ms, p99 {at[98]:5.0f} ms  ({len(waited)})")
            if name == "mixed":
                vips = sale.vips()
                out.print(f"  of {_STRETCH} in a row {mean(vips):.1f} were VIP ones, {min(vips)} to {max(vips)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9_000)
