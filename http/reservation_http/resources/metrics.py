"""Metrics: for Prometheus."""

import hmac
from dataclasses import dataclass

import falcon

from actors.gauges import ServiceGauges
from reservation.errors import NotFound, ReservationError
from reservation.metrics import exposition, registry
from reservation.settings import Settings
from reservation_http.access import Access
from reservation_http.errors import TokenInvalid, TokenMissing
from reservation_http.openapi import METRICS_TOKEN, operation

_EXAMPLE = """\
# HELP reservation_workers Live worker processes.
# TYPE reservation_workers gauge
reservation_workers 2.0
"""


@dataclass(frozen=True)
class Scraper:
    """Who may see the metrics.

    Arguments:
        token: what it has to present; empty: nothing.
        anybody: whether it has to present nothing where there is no token.
    """

    token: bytes
    anybody: bool

    @classmethod
    def of(cls, settings: Settings) -> "Scraper":
        """As it is set."""
        return cls(settings.metrics_token.get_secret_value().encode(), settings.environment == "development")

    def check(self, req: falcon.Request) -> None:
        """Raises NotFound, TokenMissing, TokenInvalid."""
        if not self.token:
            if not self.anybody:
                raise NotFound("Nothing is served under this path.")
            return
        given = req.get_header("Authorization")
        if given is None:
            raise TokenMissing
        scheme, _, token = given.partition(" ")
        # Compared in a time that tells nothing about where they differ.
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self.token):
            raise TokenInvalid("The token is not METRICS_TOKEN.")


class Metrics:
    """`/metrics`.

    Arguments:
        overview: what is read when somebody asks.
        scraper: who may ask.
        access: counts those who may not.
    """

    def __init__(self, overview: ServiceGauges, scraper: Scraper, access: Access) -> None:
        self._registry = registry(overview)
        self._scraper = scraper
        self._access = access

    @operation(
        "getMetrics",
        "Metrics, for Prometheus",
        tag="health",
        open=True,
        security=METRICS_TOKEN,
        text={"text/plain": _EXAMPLE, "application/openmetrics-text": f"{_EXAMPLE}# EOF\n"},
        problems=("token-missing", "token-invalid", "not-found", "rate-limited"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Of all processes of this host's API, and of the service as a whole. Asks for `METRICS_TOKEN`; in production
        without one there are none. Only who is refused is counted for the rate limits."""
        try:
            self._scraper.check(req)
        except ReservationError:
            self._access.visit(req)
            raise
        resp.data, resp.content_type = exposition(self._registry, req.get_header("Accept") or "")
        resp.set_header("Cache-Control", "no-store")
