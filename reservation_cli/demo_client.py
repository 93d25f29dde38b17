"""The service as the demo's buyers reach it: by the client package, over connections of which there are few."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import httpx

from reservation_cli.demo_audit import LATE_MS, Job
from reservation_client import AsyncClient, Busy, NoAnswer, NotFound, Problem

Kind = Literal["hold", "reserve"]

#: Connections, and so buyers inside at the same time; the others stand in line, as in a waiting room.
CONNECTIONS = 32
#: How long a job is waited for until it is looked whether it is late, seconds.
_WAIT_S = 10


class Unreachable(Exception):
    """Raised when the service gives no answer, or only that it cannot serve, for longer than a buyer waits."""


class Pool:
    """The connections, and what is measured on them.

    Arguments:
        url: where the service is. Raises Unreachable if it is no URL.
        token: gets the token of a user; None where a user is a UUID.

    Attributes:
        requests: sent so far, repeated ones included.
        repeated: requests that were sent again, by reason.
        latencies_ms: samples by what they measure.
        jobs: every job that was accepted, by id, seat and user: an id that two were given is two jobs.
    """

    def __init__(self, url: str, token: Callable[[str], str] | None) -> None:
        self.requests = 0
        self.repeated: Counter[str] = Counter()
        self.latencies_ms: defaultdict[str, list[float]] = defaultdict(list)
        self.jobs: dict[tuple[str, str, str], Job] = {}
        self._token = token
        self._turns = asyncio.Semaphore(CONNECTIONS)
        # One httpx client per connection: with a pool of 64, which it walks for each request, it
        # did 175 requests a second instead of 1,000.
        tls = httpx.create_ssl_context()
        self._connections = [
            httpx.AsyncClient(
                verify=tls,
                limits=httpx.Limits(max_connections=1),
                trust_env=False,  # no proxy between the demo and localhost
                event_hooks={"request": [self._count]},
            )
            for _ in range(CONNECTIONS)
        ]
        try:
            self._idle = [AsyncClient(url, http=http, on_repeat=self._note) for http in self._connections]
        except ValueError as error:
            raise Unreachable(str(error)) from None

    async def _count(self, _: httpx.Request) -> None:
        self.requests += 1

    def _note(self, failure: NoAnswer | Problem) -> None:
        self.repeated[_why(failure)] += 1

    @asynccontextmanager
    async def turn(self, user: str = "") -> AsyncIterator[AsyncClient]:
        """Waits for a connection, and has it for a visit of this user. If each request waited anew, behind those of
        a thousand others, what buyers had seen would be old before they could act on it.

        Raises Unreachable where what is done raises NoAnswer, or Busy but for a queue that is full.
        """
        async with self._turns:
            client = self._idle.pop()
            try:
                yield client.acting_for(user, token=self._token(user) if self._token and user else None)
            except (NoAnswer, Busy) as failure:
                raise Unreachable(f"No audit, because the service does not serve: {_why(failure)}") from None
            finally:
                self._idle.append(client)

    async def do(self, client: AsyncClient, kind: Kind, seat_id: str, user: str) -> None:
        """Has a seat held or reserved, and follows the job to the end. Raises Problem if it is refused, or not done."""
        sent = time.perf_counter()
        job = await (client.hold if kind == "hold" else client.reserve)(seat_id, wait_s=0)
        accepted = time.perf_counter()
        self.latencies_ms["accept"].append((accepted - sent) * 1000)
        noted = self.jobs.setdefault((job.id, seat_id, user), Job(job.id, kind, seat_id, user))
        while not job.ended:
            try:
                job = await client.wait_for_job(job, wait_s=_WAIT_S)
            except NotFound as problem:
                raise Problem("job-lost", problem.detail, problem.members) from None
            noted.deadline_ms = job.deadline
            if job.deadline and job.server_time and job.server_time > job.deadline + LATE_MS and not job.ended:
                raise Problem("never-ended", "The job has not ended by its deadline.", {})
        noted.deadline_ms, noted.ended_ms = job.deadline, job.completed_at
        self.latencies_ms[f"{kind} seen"].append((time.perf_counter() - accepted) * 1000)
        self.latencies_ms[f"{kind} done"].append((job.completed_at or 0) - (job.created_at or 0))
        job.result()
        noted.succeeded = True

    async def close(self) -> None:
        """Closes the connections."""
        for http in self._connections:
            await http.aclose()


def _why(failure: NoAnswer | Problem) -> str:
    if isinstance(failure, Problem):
        return f"{failure.status} {failure.type}"
    return type(failure.__cause__).__name__
