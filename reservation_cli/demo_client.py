"""The service as the demo's buyers reach it: its public HTTP API and nothing else."""

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx

from reservation_cli.demo_audit import LATE_MS, Job

Kind = Literal["hold", "reserve"]

#: Connections, and so buyers inside at the same time; the others stand in line, as in a waiting room.
CONNECTIONS = 32
#: How often a request is sent until the service counts as gone, and the longest pause before the
#: next attempt where the service names none, seconds. Ten outlast a restart of Redis or of the API.
_ATTEMPTS, _PAUSE_MAX_S = 10, 2.0
#: Time until a job is first asked for, growing by half each time to the longest, seconds.
_POLL_S, _POLL_MAX_S = 0.05, 1.0
#: The longest that an estimate keeps a buyer from asking, seconds.
_PATIENCE_S = 5


class Unreachable(Exception):
    """Raised when the service gives no answer, or only 5xx, for longer than a buyer waits."""


class Pool:
    """The connections, and what is measured on them.

    Arguments:
        url: where the service is. Raises Unreachable if it is no URL.
        identify: the headers that say who a user is.

    Attributes:
        requests: sent so far, repeated ones included.
        repeated: requests that were sent again, by reason.
        latencies_ms: samples by what they measure.
        jobs: every job that was accepted, by id, seat and user: an id that two were given is two jobs.
    """

    def __init__(self, url: str, identify: Callable[[str], dict[str, str]]) -> None:
        self.identify = identify
        self.requests = 0
        self.repeated: Counter[str] = Counter()
        self.latencies_ms: defaultdict[str, list[float]] = defaultdict(list)
        self.jobs: dict[tuple[str, str, str], Job] = {}
        self._turns = asyncio.Semaphore(CONNECTIONS)
        # One httpx client per connection: with a pool of 64, which it walks for each request, it
        # did 175 requests a second instead of 1,000.
        tls = httpx.create_ssl_context()
        try:
            self._idle = [
                httpx.AsyncClient(
                    base_url=url,
                    verify=tls,
                    timeout=httpx.Timeout(15),
                    limits=httpx.Limits(max_connections=1),
                    trust_env=False,  # no proxy between the demo and localhost
                )
                for _ in range(CONNECTIONS)
            ]
        except httpx.InvalidURL as error:
            raise Unreachable(f"{url} is not a URL: {error}") from None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator["Connection"]:
        """Waits for a connection, and has it for a visit. If each request waited anew, behind those of
        a thousand others, what buyers had seen would be old before they could act on it."""
        async with self._turns:
            client = self._idle.pop()
            try:
                yield Connection(self, client)
            finally:
                self._idle.append(client)

    def job(self, job_id: str, kind: Kind, seat_id: str, user: str) -> Job:
        """The entry of an accepted job, which may be one that was accepted before."""
        return self.jobs.setdefault((job_id, seat_id, user), Job(job_id, kind, seat_id, user))

    async def close(self) -> None:
        """Closes the connections."""
        for client in self._idle:
            await client.aclose()


class Connection:
    """Sends requests, one at a time, and repeats those that could not be served.

    Arguments:
        pool: where the figures are kept.
        client: what sends them.
    """

    def __init__(self, pool: Pool, client: httpx.AsyncClient) -> None:
        self._pool = pool
        self._client = client

    async def send_once(
        self, method: str, path: str, user: str = "", body: object = None, key: str = ""
    ) -> httpx.Response:
        """Sends a request. Raises httpx.TransportError.

        Arguments:
            user: who sends it: a UUID.
            body: what to send as JSON.
            key: the Idempotency-Key.
        """
        self._pool.requests += 1
        headers = {"Idempotency-Key": key} if key else {}
        if user:
            headers |= self._pool.identify(user)
        return await self._client.request(method, path, json=body, headers=headers)

    async def send(self, method: str, path: str, user: str = "", body: object = None, key: str = "") -> httpx.Response:
        """Sends a request until it is answered with anything but 5xx or 429, or with a 503 that names a job
        or says that the queue is full once too often. With a key, what is sent again is done once. Raises Unreachable.
        """
        pause_s, why = 0.1, ""
        for _ in range(_ATTEMPTS):
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
            try:
                answer = await self.send_once(method, path, user, body, key)
            except httpx.TransportError as error:
                why = type(error).__name__
            else:
                if (answer.status_code < 500 and answer.status_code != 429) or "jobId" in members(answer):
                    return answer
                why = f"{answer.status_code} {slug(answer)}"
                pause_s = _retry_after_s(answer, pause_s)
            self._pool.repeated[why] += 1
            await asyncio.sleep(pause_s)
        if why == "503 queue-full":
            return answer
        raise Unreachable(
            f"No audit, because the service does not serve: {method} {path} failed {_ATTEMPTS} times, last with {why}."
        )

    async def read(self, path: str) -> dict[str, Any]:
        """Reads what has to be there. Raises Unreachable."""
        answer = await self.send("GET", path)
        if not answer.is_success:
            raise Unreachable(f"No audit, because GET {path} answered {answer.status_code} {slug(answer)}")
        return members(answer)

    async def request_job(self, kind: Kind, seat_id: str, user: str) -> tuple[str, bool]:
        """Asks for a hold or a reservation and follows its job to the end. Raises Unreachable.

        Returns:
            Why it was refused, empty if it was not, and whether a job says so.
        """
        key = str(uuid.uuid4())
        for _ in range(_ATTEMPTS):
            answer = await self.send("POST", f"/seats/{kind}", user, {"id": seat_id, "UUID": user}, key)
            told = members(answer)
            if answer.status_code != 202 and "jobId" not in told:
                return slug(answer), False
            if answer.status_code == 202:
                self._pool.latencies_ms["accept"].append(answer.elapsed.total_seconds() * 1000)
                return await self._follow(self._pool.job(told["jobId"], kind, seat_id, user), told["estimatedWaitTime"])
            # The service lost its data store on the way, and does not know whether the job was entered.
            self._pool.repeated[f"503 {slug(answer)}"] += 1
            await asyncio.sleep(_retry_after_s(answer, _PAUSE_MAX_S))
            if (await self.send("GET", status_path(told["jobId"]), user)).status_code == 200:
                return await self._follow(self._pool.job(told["jobId"], kind, seat_id, user), 0)
        raise Unreachable(
            f"No audit, because the service does not serve: no job of {_ATTEMPTS} to {kind} a seat was entered."
        )

    async def _follow(self, job: Job, estimate_s: int) -> tuple[str, bool]:
        """Asks for a job until it has ended; returns as `request_job`."""
        accepted, interval_s = time.perf_counter(), _POLL_S
        while True:
            # The estimate is rounded up: until the second before it, there is no use in asking.
            await asyncio.sleep(max(interval_s, min(estimate_s - 1, _PATIENCE_S)))
            interval_s = min(interval_s * 1.5, _POLL_MAX_S)
            answer = await self.send("GET", status_path(job.id), job.user)
            if answer.status_code != 200:
                return "job-lost", True
            now = members(answer)
            job.deadline_ms, estimate_s = now["deadline"], now.get("estimatedWaitTime", 0)
            if now["status"] in ("completed", "failed"):
                job.ended_ms = now["completedAt"]
                job.succeeded = now["status"] == "completed" and now["result"]["success"]
                self._pool.latencies_ms[f"{job.kind} seen"].append((time.perf_counter() - accepted) * 1000)
                self._pool.latencies_ms[f"{job.kind} done"].append(now["completedAt"] - now["createdAt"])
                return "" if job.succeeded else now["result"]["error"], True
            if now["serverTime"] > job.deadline_ms + LATE_MS:
                return "never-ended", True


def status_path(job_id: str) -> str:
    """Where a job is read."""
    return f"/seats/job/{job_id}/status"


def members(answer: httpx.Response) -> dict[str, Any]:
    """The members of an answer; empty if it is not JSON."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return {}
    found = answer.json()
    return found if isinstance(found, dict) else {}


def slug(answer: httpx.Response) -> str:
    """The name of the problem that an answer is about; its status if it names none."""
    return str(members(answer).get("type", answer.status_code)).rpartition("/")[2]


def _retry_after_s(answer: httpx.Response, otherwise: float) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else otherwise
