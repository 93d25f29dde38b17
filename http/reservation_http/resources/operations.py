"""Figures of the whole service: for the operations page."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Annotated

import falcon
from pydantic import Field

from actors.figures import Figures, Readings
from reservation.counts import Totals
from reservation.fields import ApiModel, JobType, Millis
from reservation.metrics import JOB_BUCKETS
from reservation_http.access import READ_OPERATIONS, Access
from reservation_http.exchange import write
from reservation_http.openapi import operation


class Waiting(ApiModel):
    """The queue."""

    messages: Annotated[int | None, Field(description="Messages that wait for a worker.", examples=[3])] = None
    lag_seconds: Annotated[
        float | None, Field(description="How long a message waits for a worker.", examples=[0.012])
    ] = None
    vip_messages: Annotated[int | None, Field(description="Messages of VIP jobs among them.", examples=[0])] = None
    vip_lag_seconds: Annotated[
        float | None, Field(description="How long a message of a VIP job waits.", examples=[0.004])
    ] = None


class Ended(ApiModel):
    """How many jobs of a type have ended in one way."""

    type: JobType
    outcome: Annotated[str, Field(description="The slug of the result.", examples=["held"])]
    count: int


class Bucket(ApiModel):
    """How many took no longer than that."""

    le: Annotated[float, Field(description="Seconds.", examples=[0.005])]
    count: int


class Duration(ApiModel):
    """How long jobs of a type took, from acceptance to result: a histogram as Prometheus has them."""

    type: JobType
    count: Annotated[int, Field(description="All of them, those that took longer than the last bucket included.")]
    buckets: list[Bucket]


class Failure(ApiModel):
    """A job that ended without a verdict."""

    job: Annotated[str, Field(description="The job's id.")]
    type: JobType
    error: Annotated[str, Field(examples=["deadline-passed"])]
    time: Millis


class OperationsFigures(ApiModel):
    """How the service is doing. What cannot be known now is left out. `expired`, `jobs` and `durations` count from when
    the state's server was empty: rates and percentiles are made of two readings."""

    time: Annotated[Millis, Field(description="When this was read, by the service's clock.")]
    queue: Waiting
    workers: Annotated[int | None, Field(description="Live worker processes.", examples=[2])] = None
    sweepers: Annotated[int | None, Field(description="Live sweeper processes.", examples=[1])] = None
    open_jobs: Annotated[int | None, Field(description="Jobs that have not ended.", examples=[4])] = None
    later_jobs: Annotated[int | None, Field(description="Those whose time has not come.", examples=[0])] = None
    oldest_job_seconds: Annotated[
        float | None,
        Field(description="How long ago the oldest of them could have been carried out.", examples=[0.02]),
    ] = None
    holds: Annotated[int | None, Field(description="Seats on hold.", examples=[128])] = None
    expired: Annotated[int | None, Field(description="Seats freed because their hold had run out.")] = None
    jobs: Annotated[list[Ended] | None, Field(description="Jobs that have ended, by how.")] = None
    durations: list[Duration] | None = None
    failed: Annotated[
        list[Failure] | None, Field(description="The last jobs that ended without a verdict, the newest first.")
    ] = None

    @classmethod
    def of(cls, figures: Figures) -> "OperationsFigures":
        """As they were read."""
        fleet, going_on, totals = figures.fleet, figures.going_on, figures.totals
        return cls(
            time=figures.time_ms,
            queue=Waiting(
                messages=figures.messages,
                lag_seconds=fleet and fleet.lag_ms / 1000,
                vip_messages=figures.vip_messages,
                vip_lag_seconds=fleet and fleet.vip_lag_ms / 1000,
            ),
            workers=fleet and fleet.workers,
            sweepers=fleet and fleet.sweepers,
            open_jobs=going_on and going_on.jobs,
            later_jobs=going_on and going_on.later,
            oldest_job_seconds=going_on and going_on.oldest_ms / 1000,
            holds=going_on and going_on.holds,
            expired=totals and totals.expired,
            jobs=totals and [Ended(type=t, outcome=o, count=n) for (t, o), n in totals.ended.items()],
            durations=totals and list(_durations(totals)),
            failed=totals
            and [Failure(job=f.job_id, type=f.type, error=f.error, time=f.time_ms) for f in totals.failed],
        )


def _durations(totals: Totals) -> Iterator[Duration]:
    for kind, counts in totals.took.items():
        *upto, every = accumulate(counts)
        buckets = [Bucket(le=bound, count=count) for bound, count in zip(JOB_BUCKETS, upto, strict=True)]
        yield Duration(type=kind, count=every, buckets=buckets)


class OperationsReadings:
    """`/ops/figures`.

    Arguments:
        readings: of the figures.
        access: the way in.
    """

    def __init__(self, readings: Readings, access: Access) -> None:
        self._readings = readings
        self._access = access

    @operation(
        "getOperations",
        "How the service is doing",
        tag="operations",
        scope=READ_OPERATIONS,
        answers={200: OperationsFigures},
        problems=("invalid-request",),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Figures of all processes together, a second old at most, for whoever may see them. What cannot be known now
        is left out, so that a server that is gone is seen here too."""
        self._access.operator(req)
        write(resp, OperationsFigures.of(self._readings.last()))
        resp.set_header("Cache-Control", "no-store")
