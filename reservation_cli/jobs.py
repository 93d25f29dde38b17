"""`reservation jobs`: what the ledger has about jobs, and repeating those that failed."""

import heapq
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
import redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actors.queue import Queue
from reservation.codes import Code
from reservation.fields import JobStatus, JobType
from reservation.ids import JobId
from reservation.models import Job
from reservation.overview import Overview, pages
from reservation.retries import Retry, retry
from reservation.settings import Settings
from reservation.store import Store
from reservation_cli.status import MOST_EVENTS

#: Jobs, and events whose open jobs are listed, that are read in one go.
_JOBS_PER_PAGE, _EVENTS_PER_PAGE = 200, 100
#: Most keys of Redis that are looked through for jobs that have ended: some seconds.
MOST_KEYS = 5_000_000
#: Fields of the ledger that are times, epoch ms.
_TIMES = ("createdAt", "completedAt", "deadline", "sentAt", "expiresAt", "notBefore")


@dataclass(frozen=True)
class Wanted:
    """Which jobs to list; None: any."""

    event: str | None = None
    status: JobStatus | None = None
    type: JobType | None = None

    def __contains__(self, job: Job) -> bool:
        return self.status in (None, job.status) and self.type in (None, job.type)


def find(store: Store, wanted: Wanted, limit: int, *, oldest: bool, most_keys: int = MOST_KEYS) -> list[Job]:
    """The newest jobs, or the oldest, by when they were accepted. Raises StateUnavailable."""
    sign = 1 if oldest else -1
    found: dict[str, Job] = {}
    for page in _candidates(store, wanted, limit, oldest=oldest, most_keys=most_keys):
        for ids in pages(page, _JOBS_PER_PAGE):
            found |= {job.id: job for job in store.jobs.read_each(ids) if job in wanted}
        # As many as are wanted, so that no ledger is too large.
        best = heapq.nsmallest(limit, found.values(), key=lambda job: (sign * job.created_at, job.id))
        found = {job.id: job for job in best}
    return list(found.values())


def _candidates(store: Store, wanted: Wanted, limit: int, *, oldest: bool, most_keys: int) -> Iterator[list[JobId]]:
    """Open jobs have an index, those that have ended do not."""
    if wanted.status != "completed":
        events = [wanted.event] if wanted.event else Overview(store.scripts).active(MOST_EVENTS)
        # The first ones are not enough where some of them may not be wanted.
        some = wanted.status is None and wanted.type is None
        for page in pages(events, _EVENTS_PER_PAGE if some else 1):
            yield store.jobs.open_ids(page, limit if some else 0, newest=not oldest)
    if wanted.status not in ("waiting", "active"):
        yield from store.jobs.scan(wanted.event, most_keys)


def print_list(jobs: list[Job], *, as_json: bool, reveal: bool) -> None:
    """A line for each."""
    if as_json:
        for job in jobs:
            click.echo(json.dumps(_as_json(job, reveal=reveal)))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("job", no_wrap=True)
    for name in ("type", "priority", "status", "seat", "user", "accepted", "took", "outcome"):
        table.add_column(name)
    for job in jobs:
        table.add_row(
            job.id,
            job.type,
            job.priority,
            job.status,
            " ".join(job.data.seat_ids),
            _user(job.data.user, reveal=reveal),
            _time(job.created_at),
            "" if job.completed_at is None else f"{job.completed_at - max(job.created_at, job.not_before or 0):,} ms",
            _outcome(job),
        )
    console = Console()
    if not console.is_terminal:
        console.width = 240  # a line stays a line
    console.print(table if jobs else "There are no such jobs.")


def print_one(store: Store, job_id: JobId, *, as_json: bool, reveal: bool) -> None:
    """All there is about a job. Raises NotFound, StateUnavailable."""
    job, entry = store.jobs.read(job_id), store.jobs.entry(job_id)
    entry["user"] = _user(entry["user"], reveal=reveal)
    if as_json:
        click.echo(json.dumps({**_as_json(job, reveal=reveal), "ledger": entry}))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _rows(job, entry):
        table.add_row(name, Text(value, overflow="fold"))
    Console().print(table)


def _rows(job: Job, entry: dict[str, str]) -> Iterator[tuple[str, str]]:
    yield "job", job.id
    # As it reads: past its deadline it has failed, whatever is written.
    yield "status", job.status
    if job.result is not None:
        yield "verdict", _outcome(job)
    if job.position is not None:
        yield "position", f"{job.position}, about {job.estimated_wait_time} s to wait"
    shown = {"type", "seatId", "user"}
    for name in (*sorted(shown), *(n for n in entry if n not in shown | {"status"})):
        yield name, _readable(name, entry[name])


def _readable(name: str, value: str) -> str:
    if name == "code":
        return Code(int(value)).slug
    # Of several seats each has its own.
    return " ".join(_time(int(each)) for each in value.split()) if name in _TIMES else value


def repeat(store: Store, queue: Queue, job_id: JobId) -> Retry:
    """Repeats a failed job, and sends its message. Raises as `retry` does, and QueueFull."""
    if store.jobs.read(job_id).type == "HOLD_SEAT":  # as the API does
        with suppress(redis.RedisError):
            queue.backlog.count()
        queue.backlog.check()
    repeated = retry(store, job_id)
    if repeated.new:
        # What cannot be sent now, the sweeper sends.
        queue.send_jobs([(repeated.job_id, repeated.task)])
    return repeated


def connect(settings: Settings) -> tuple[Store, Queue]:
    """The ledger and the queue."""
    store = Store.connect(settings, connections=2)
    return store, Queue.connect(settings, store, connections=2)


def _as_json(job: Job, *, reveal: bool) -> dict[str, Any]:
    shown = job.model_dump(mode="json", by_alias=True, exclude_none=True)
    shown["data"]["userUUID"] = _user(job.data.user, reveal=reveal)
    result = shown.get("result", {})
    for seat in (*([result["seat"]] if "seat" in result else []), *result.get("seats", [])):
        seat["UUID"] = _user(seat["UUID"], reveal=reveal)
    return shown


def _user(user: str, *, reveal: bool) -> str:
    """A user's UUID is a credential where there are no tokens."""
    return user if reveal else f"{user[:8]}…"


def _outcome(job: Job) -> str:
    if job.result is None:
        due = job.not_before or 0
        return f"not before {_time(due)}" if due > job.server_time else ""
    return f"{job.result.error}: {job.result.message}" if job.result.error else job.result.message


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
