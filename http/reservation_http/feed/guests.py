"""Who may ask the stream service: anybody, but not too often; and which pages' scripts may read what it answers."""

import asyncio
from collections.abc import Sequence

import falcon.asgi

from reservation.settings import Settings
from reservation_http.addresses import Addresses
from reservation_http.rates import RateLimits
from reservation_http.streams import host_asked


class Guests:
    """Lets clients in. It is not asked who they are: what is told here, anybody may know.

    Arguments:
        limits: how often anybody may ask; counted as for the API.
        addresses: tells where a request comes from.
    """

    def __init__(self, limits: RateLimits, addresses: Addresses) -> None:
        self._limits = limits
        self._addresses = addresses

    async def admit(self, req: falcon.asgi.Request) -> str:
        """Counts a request. Returns the client's address. Raises RateLimited."""
        address = self._addresses.told(req.remote_addr, req.get_header("X-Forwarded-For") or "")
        req.context.address = address
        if self._limits.enabled:
            await asyncio.to_thread(self._limits.hit, "user", address, "")
        return address


class Origins:
    """Falcon middleware (the CORS protocol of the Fetch standard): lets the scripts of the API's own pages read what is
    answered, and of the origins that may call the API.

    Arguments:
        settings: which these are.
    """

    def __init__(self, settings: Settings) -> None:
        self._port = settings.port
        self._origins: Sequence[str] = settings.origins

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Adds the headers."""
        resp.append_header("Vary", "Origin")
        origin = req.get_header("Origin")
        if origin is None or not self._is_let(origin, req):
            return
        resp.set_header("Access-Control-Allow-Origin", origin)
        resp.set_header("Access-Control-Expose-Headers", "Retry-After, X-Request-ID")
        if req.method == "OPTIONS" and req.get_header("Access-Control-Request-Method"):
            resp.set_headers(
                {
                    "Access-Control-Allow-Methods": "GET, HEAD",
                    "Access-Control-Allow-Headers": "Last-Event-ID, X-Request-ID",
                    "Access-Control-Max-Age": "86400",
                }
            )

    def _is_let(self, origin: str, req: falcon.asgi.Request) -> bool:
        """Whether it is the API's, at the host and by the scheme that were asked, and at PORT; or one that is set."""
        if self._origins == ["*"] or origin in self._origins:
            return True
        host = host_asked(req)
        default = {"http": 80, "https": 443}.get(req.scheme)
        return host is not None and origin in (
            f"{req.scheme}://{host}:{self._port}",
            *([f"{req.scheme}://{host}"] if self._port == default else []),
        )
