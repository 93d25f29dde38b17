"""Has a process measured, and where it is nobody's child, shows the figures of all its children."""

from collections.abc import Iterator
from contextlib import contextmanager

from reservation import signals, tallies
from reservation.settings import Settings


class ServeError(Exception):
    """Raised when the metrics cannot be served where they shall. Its text names the settings."""


@contextmanager
def measured(settings: Settings, *, serve: bool = False) -> Iterator[None]:
    """Counts from now on. What counts has to be imported in here, not before. Raises ServeError.

    Arguments:
        serve: at METRICS_PORT, if that is set. The API has a route for it.
    """
    with tallies.shared() as outermost:
        if not (serve and outermost and settings.metrics_port):
            yield
            return
        from prometheus_client import start_http_server

        from reservation.metrics import registry

        host, port = settings.metrics_host, settings.metrics_port
        try:
            with signals.held_back():
                server, _ = start_http_server(port, host, registry())
        except OSError as error:
            raise ServeError(f"METRICS_PORT: cannot listen on {host}:{port}: {error.strerror}") from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
