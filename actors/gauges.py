"""How the whole service is doing, for Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import reservation
from actors.figures import Figures, Readings


class ServiceGauges(Collector):
    """Queue, jobs, holds, workers and sweepers of the service. What cannot be read is left out.

    Arguments:
        readings: of what is shown.
    """

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures of a moment ago."""
        figures = self._readings.last()
        yield _version()
        up = GaugeMetricFamily("reservation_up", "1 where this server answers.", labels=["server"])
        up.add_metric(["state"], figures.state)
        up.add_metric(["broker"], figures.broker)
        yield up
        for name, about, value in _gauges(figures):
            if value is not None:
                yield GaugeMetricFamily(f"reservation_{name}", about, value=value)


def _gauges(figures: Figures) -> Iterator[tuple[str, str, float | None]]:
    fleet, going_on = figures.fleet, figures.going_on
    yield "queue_messages", "Messages that wait for a worker.", figures.messages
    yield "vip_messages", "Messages of VIP jobs among them.", figures.vip_messages
    yield "active_events", "Events with open jobs or holds, or lately so.", figures.active
    if fleet is not None:
        yield "workers", "Live worker processes.", fleet.workers
        yield "sweepers", "Live sweeper processes.", fleet.sweepers
        yield "webhook_senders", "Live processes that send webhooks.", figures.senders
        yield "queue_lag_seconds", "How long messages wait for a worker.", fleet.lag_ms / 1000
        yield "vip_lag_seconds", "How long messages of VIP jobs do.", fleet.vip_lag_ms / 1000
    if going_on is not None:
        yield "holds_active", "Seats on hold.", going_on.holds
        yield "jobs_open", "Jobs that have not ended.", going_on.jobs
        yield "jobs_later", "Jobs among them whose time has not come.", going_on.later
        about = "How long ago the oldest open job could have been carried out; 0 if there is none."
        yield "oldest_job_seconds", about, going_on.oldest_ms / 1000


def _version() -> GaugeMetricFamily:
    info = GaugeMetricFamily("reservation_build_info", "The version that is running; always 1.", labels=["version"])
    info.add_metric([reservation.__version__], 1)
    return info
