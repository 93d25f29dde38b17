"""The HTTP application: what is served where."""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import falcon

from actors.figures import Readings
from actors.gauges import ServiceGauges
from actors.queue import Queue
from reservation import tracing
from reservation.clients import REQUEST_TIMEOUT_S
from reservation.rounds import RoundPipelining
from reservation.settings import Settings
from reservation.store import Store
from reservation.waits import Waits
from reservation_http.access import Access
from reservation_http.cors import CrossOrigin
from reservation_http.lag import QueueLag
from reservation_http.middleware import RequestLog
from reservation_http.problems import handle_errors
from reservation_http.resources.audit import EventAudit
from reservation_http.resources.best import BestAvailable
from reservation_http.resources.blocks import SeatsBlock, SeatsUnblock
from reservation_http.resources.docs import ApiDocument, ProblemPages, QuickStart, ReferencePage
from reservation_http.resources.events import (
    EventById,
    EventCreation,
    EventIndex,
    EventLayout,
    FreeSeatList,
    SeatStates,
)
from reservation_http.resources.feed import EventChanges, EventStream
from reservation_http.resources.health import Liveness, Readiness
from reservation_http.resources.jobs import JobStatus
from reservation_http.resources.metrics import Metrics, Scraper
from reservation_http.resources.operations import OperationsReadings
from reservation_http.resources.pages import Assets, WebPage
from reservation_http.resources.rooms import TicketById, TicketDraw
from reservation_http.resources.seats import (
    OwnSeatList,
    SeatById,
    SeatCancel,
    SeatHold,
    SeatRefresh,
    SeatRelease,
    SeatReserve,
)
from reservation_http.resources.webhooks import EventWebhook, EventWebhooks, WebhookDeliveries, WebhookReplay
from reservation_http.streams import StreamAddress
from reservation_http.traced import Traced

#: Paths of what takes long: ten thousand seats at once, hundreds or the best of them, a hundred events or messages, a
#: thousand changes, a host that has to be found, a megabyte of page, or every process's figures. They go to the same
#: resource however many slashes they begin with.
_SLOW = re.compile(
    r"/*(events$|events/create|events/[^/]*/(seats|holds|layout|audit|block|unblock|webhooks|webhooks/[^/]*/deliveries)$|"
    r"seats/(list/|best-available$)|docs|openapi|problems|metrics|ops/figures)"
).match


@dataclass(frozen=True)
class Services:
    """What the application needs of the rest.

    Attributes:
        scraper: who may see the metrics.
        stream: where the live feed is.
        waits: requests that wait for jobs.
        origins: of the pages whose scripts may read its answers.
        admission_ttl_s: how long admissions last unless the event says otherwise, seconds.
        webhooks: whether events may have any.
        private_webhooks: whether those may be private addresses.
        leaving: set once the process is to stop, while it still serves.
    """

    store: Store
    queue: Queue
    access: Access
    scraper: Scraper
    stream: StreamAddress
    waits: Waits
    origins: Sequence[str] = ()
    admission_ttl_s: int = 600
    webhooks: Literal["off", "on"] = "off"
    private_webhooks: bool = False
    leaving: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def connect(cls, settings: Settings) -> "Services":
        """Builds them from settings; nothing is sent yet. Raises SettingsError."""
        connections = settings.api_threads + 1  # that of the loop
        store = Store.connect(settings, connections, REQUEST_TIMEOUT_S, RoundPipelining)
        queue = Queue.connect(settings, store, connections=connections, timeout_s=REQUEST_TIMEOUT_S)
        access = Access.of(settings, queue.guard)
        quarter = settings.api_threads // 4
        return cls(
            store,
            queue,
            access,
            Scraper.of(settings),
            StreamAddress.of(settings),
            Waits(store.jobs, store.servers, max(1, quarter), most_threads=quarter),
            settings.origins,
            settings.admission_ttl,
            settings.webhooks,
            settings.webhook_allow_private == "on",
        )

    def start(self) -> None:
        """Watches both servers from now on, so that no request waits for one that is gone."""
        self.store.guard.start()
        self.queue.guard.start()


def routes(services: Services) -> list[tuple[str, object]]:
    """The API: paths and their resources."""
    store, queue, access, waits = services.store, services.queue, services.access, services.waits
    lag, readings = QueueLag(store.fleet), Readings(store, queue, webhooks=services.webhooks == "on")
    webhooks = store.webhooks if services.webhooks == "on" else None
    hooks = "/events/{event_id}/webhooks"
    return [
        ("/events", EventIndex(store.events, access)),
        ("/events/create", EventCreation(store.events, access, services.admission_ttl_s)),
        ("/events/{event_id}", EventById(store.events, access)),
        ("/events/{event_id}/layout", EventLayout(store.events, access)),
        ("/events/{event_id}/seats", SeatStates(store.events, access)),
        ("/events/{event_id}/stream", EventStream(services.stream, access)),
        ("/events/{event_id}/changes", EventChanges(services.stream, access)),
        ("/events/{event_id}/holds", OwnSeatList(store.seats, access)),
        ("/events/{event_id}/audit", EventAudit(store.audit, access)),
        ("/events/{event_id}/block", SeatsBlock(store.seats, access)),
        ("/events/{event_id}/unblock", SeatsUnblock(store.seats, access)),
        ("/events/{event_id}/queue", TicketDraw(store.rooms, access)),
        ("/events/{event_id}/queue/{ticket}", TicketById(store.rooms, access)),
        (hooks, EventWebhooks(webhooks, access, allow_private=services.private_webhooks)),
        (f"{hooks}/{{webhook_id}}", EventWebhook(webhooks, access)),
        (f"{hooks}/{{webhook_id}}/deliveries", WebhookDeliveries(webhooks, access)),
        (f"{hooks}/{{webhook_id}}/deliveries/{{delivery_id}}/replay", WebhookReplay(webhooks, access)),
        ("/seats/list/{event_id}", FreeSeatList(store.events, access)),
        ("/seats/get/{seat_id}", SeatById(store.seats, access)),
        ("/seats/hold", SeatHold(store.seats, queue, lag, access, waits)),
        ("/seats/best-available", BestAvailable(store.best, store.seats, queue, lag, access, waits)),
        ("/seats/refresh", SeatRefresh(store.seats, access)),
        ("/seats/release", SeatRelease(store.seats, access)),
        ("/seats/reserve", SeatReserve(store.seats, queue, lag, access, waits)),
        ("/seats/cancel", SeatCancel(store.seats, access)),
        ("/seats/job/{job_id}/status", JobStatus(store.jobs, lag, access, waits)),
        ("/health/live", Liveness()),
        (
            "/health/ready",
            Readiness(store.fleet, queue, access.limits, services.leaving, webhooks=services.webhooks == "on"),
        ),
        ("/metrics", Metrics(ServiceGauges(readings), services.scraper, access)),
        ("/ops/figures", OperationsReadings(readings, access)),
    ]


def is_slow(path: str) -> bool:
    """Whether a request takes so long that others must not wait for it: more than a millisecond."""
    return _SLOW(path) is not None


def create_app(services: Services) -> falcon.App[falcon.Request, falcon.Response]:
    """The WSGI application."""
    middleware: list[Any] = [*([Traced()] if tracing.is_on() else []), RequestLog()]
    if services.origins:
        middleware.append(CrossOrigin(services.origins))
    app = falcon.App(middleware=middleware)
    handle_errors(app, services.access.visit)
    api = routes(services)
    access = services.access
    document, problems = ApiDocument(api, access), ProblemPages(access)
    page, guide = ReferencePage(access, services.stream), QuickStart(access, services.stream)
    for path, resource in api:
        _add_route(app, path, resource)
    _add_route(app, "/", WebPage("seats.html", access, services.stream))
    _add_route(app, "/assets/{name}", Assets(access))
    _add_route(app, "/ops", WebPage("ops.html", access, services.stream))
    _add_route(app, "/openapi.yaml", document, "yaml")
    _add_route(app, "/openapi.json", document, "json")
    _add_route(app, "/docs", page)
    _add_route(app, "/docs/swagger-ui.{suffix}", page, "file")
    _add_route(app, "/docs/quickstart", guide)
    _add_route(app, "/docs/quickstart.{suffix}", guide, "script")
    _add_route(app, "/problems", problems, "list")
    _add_route(app, "/problems/{slug}", problems, "kind")
    return app


def _add_route(
    app: falcon.App[falcon.Request, falcon.Response], path: str, resource: object, suffix: str | None = None
) -> None:
    """Serves a resource; where there is GET there is HEAD (RFC 9110, section 9.1), and Falcon leaves the body out."""
    get, head = (f"on_{method}_{suffix}" if suffix else f"on_{method}" for method in ("get", "head"))
    if hasattr(resource, get):
        setattr(resource, head, getattr(resource, get))
    app.add_route(path, resource, suffix=suffix)
