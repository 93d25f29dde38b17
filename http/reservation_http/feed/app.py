"""The stream service's application: what is served where."""

from typing import Any

import falcon.asgi

from reservation.guard import Guard
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.addresses import Addresses
from reservation_http.exchange import write
from reservation_http.feed.guests import Guests, Origins
from reservation_http.feed.hub import Hub
from reservation_http.feed.resources import EventChanges, EventStream
from reservation_http.middleware import RequestLog
from reservation_http.problems import handle_errors_async
from reservation_http.rates import RateLimits
from reservation_http.resources.health import Live


class Log(RequestLog):
    """The same for ASGI. A stream is logged when it begins."""

    async def process_request_async(self, req: Any, resp: Any) -> None:
        """Gives the request its id."""
        self.process_request(req, resp)

    async def process_response_async(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        """Logs and counts the answer."""
        self.process_response(req, resp, resource, req_succeeded)


class Liveness:
    """`/health/live`."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """The process answers."""
        write(resp, Live())


class Readiness:
    """`/health/ready`."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """200 while changes can be read and this process is not about to stop: who balances asks others then."""
        reachable = self._store.guard.closed or self._store.servers.many
        status = "stopping" if self._hub.leaving else "ready" if reachable else "unavailable"
        resp.status = 200 if status == "ready" else 503
        resp.media = {"status": status, "connections": self._hub.connections, "events": self._hub.events}


def create_app(settings: Settings, store: Store, hub: Hub) -> "falcon.asgi.App[Any, Any]":
    """The ASGI application."""
    middleware: list[Any] = [Log(), Origins(settings)]
    app = falcon.asgi.App(middleware=middleware)
    handle_errors_async(app)
    # It is not on the loop that this waits for its server, so that no breaker has to keep it from waiting.
    guests = Guests(RateLimits(settings, Guard("limits", lambda: None)), Addresses(settings.networks))
    for path, resource in (
        ("/events/{event_id}/stream", EventStream(hub, guests)),
        ("/events/{event_id}/changes", EventChanges(hub, guests)),
        ("/health/live", Liveness()),
        ("/health/ready", Readiness(store, hub)),
    ):
        app.add_route(path, resource)
    return app
