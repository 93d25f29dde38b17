"""Health: for balancers, orchestrators and people."""

import threading
from typing import Annotated, Literal

import falcon
from pydantic import Field

from actors.queue import Queue
from reservation.errors import StateUnavailable
from reservation.fields import ApiModel
from reservation.fleet import Fleet
from reservation_http.exchange import write
from reservation_http.openapi import operation
from reservation_http.rates import RateLimits


class Live(ApiModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(ApiModel):
    """What this process can reach."""

    status: Annotated[
        Literal["ready", "degraded", "unavailable", "stopping"],
        Field(
            description="`degraded`: requests are taken, but something that carries them out is missing. `stopping`: "
            "requests are taken for some seconds more."
        ),
    ]
    state: Literal["up", "down"]
    broker: Literal["up", "down"]
    workers: Annotated[int, Field(description="Live worker processes.", examples=[2])]
    sweepers: Annotated[int, Field(description="Live sweeper processes.", examples=[1])]
    webhooks: Annotated[
        int | None,
        Field(description="Live processes that send to webhooks. Only where there are webhooks.", examples=[1]),
    ] = None
    rate_limits: Annotated[
        Literal["off", "up", "down"], Field(description="`down`: requests cannot be counted, and are all let through.")
    ]
    uncounted: Annotated[int, Field(description="Requests that this process let through uncounted.", examples=[0])]


class Liveness:
    """`/health/live`."""

    @operation("isLive", "Whether this process answers", tag="health", open=True, answers={200: Live})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Depends on nothing else: if this fails, the process needs a restart."""
        write(resp, Live())


class Readiness:
    """`/health/ready`."""

    def __init__(
        self, fleet: Fleet, queue: Queue, limits: RateLimits, leaving: threading.Event, *, webhooks: bool
    ) -> None:
        self._fleet = fleet
        self._queue = queue
        self._limits = limits
        self._leaving = leaving
        self._has_webhooks = webhooks

    @operation("isReady", "What this process can reach", tag="health", open=True, answers={200: Ready, 503: Ready})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 while seats can be read and requests taken. A missing queue, worker or sweeper is shown
        as `degraded`, with 200: a balancer would otherwise drop every API process at once. So is a cluster's node that
        is gone, and where nobody can say who works, `workers` is 0. 503 also while
        this process is about to stop, so that a balancer asks others before it does."""
        broker: Literal["up", "down"] = "up" if self._queue.reachable() else "down"
        counting: Literal["off", "up", "down"] = "off"
        if self._limits.enabled:
            counting = "up" if self._limits.counting else "down"
        ready = Ready(
            status="degraded",
            state="up",
            broker=broker,
            workers=0,
            sweepers=0,
            rate_limits=counting,
            uncounted=self._limits.uncounted,
        )
        try:
            load = self._fleet.load()
            senders = self._fleet.senders() if self._has_webhooks else None
        except StateUnavailable as error:
            if self._fleet.partly_reachable():
                self._write(resp, ready)
                return
            write(resp, ready.model_copy(update={"status": "unavailable", "state": "down"}), 503)
            resp.set_header("Retry-After", str(error.retry_after_s))
            return
        whole = broker == "up" and load.workers and load.sweepers and counting != "down" and senders != 0
        found = {
            "status": "ready" if whole else "degraded",
            "workers": load.workers,
            "sweepers": load.sweepers,
            "webhooks": senders,
        }
        self._write(resp, ready.model_copy(update=found))

    def _write(self, resp: falcon.Response, ready: Ready) -> None:
        leaving = self._leaving.is_set()
        write(resp, ready.model_copy(update={"status": "stopping"}) if leaving else ready, 503 if leaving else 200)
