"""What is counted and measured, for Prometheus. Every name begins with `reservation_`; labels take values that this
code knows, never an id, a path or anything else that a client chose (docs/operations.md has the table).

Where several processes run on a host, each writes its figures into a folder that they share
(reservation.tallies), and whoever is asked adds them up. `prometheus_client` looks for the folder when it is first
imported.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, get_args

import redis
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from reservation import tallies
from reservation.clients import Command
from reservation.codes import Code
from reservation.fields import JobType
from reservation.pipelining import OnItsWay

#: Where this process's own figures are kept.
REGISTRY = CollectorRegistry()

#: Upper bounds, seconds. Most requests are answered in 1 to 50 ms.
_REQUEST_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
#: Most jobs end in 2 ms to 30 s, the deadline of a hold; a reservation's is 300 s.
JOB_BUCKETS = (0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: From a server on the same host to the longest wait for a reply, 2 s.
_REDIS_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2)

#: In the place of a reply that never came: there was no round trip.
_LOST = (redis.ConnectionError, redis.TimeoutError)

#: The route of what nothing is served under, and the method of what is none that is served.
UNMATCHED, OTHER = "unmatched", "other"
_METHODS = {method: method for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")}
#: How a job can end; the last two are no verdicts.
OUTCOMES = (
    *(Code.HELD, Code.HELD_ALREADY, Code.RESERVED, Code.RESERVED_ALREADY),
    *(Code.SEAT_HELD, Code.SEAT_RESERVED, Code.SEAT_UNKNOWN, Code.LIMIT_REACHED, Code.HOLD_EXPIRED),
    *(Code.SEAT_BLOCKED, Code.EVENT_CLOSED, Code.NO_SEATS_TOGETHER, Code.TOO_FEW_SEATS),
    *(Code.DEADLINE_PASSED, Code.INTERNAL_ERROR),
)

_request_seconds = Histogram(
    "reservation_http_request_seconds",
    "Time to answer a request, by route; its count is the number of requests.",
    ("method", "route", "status"),
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
_connections = Gauge(
    "reservation_http_connections",
    "Open connections.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_connection_limit = Gauge(
    "reservation_http_connections_limit",
    "Most open connections: CONNECTION_LIMIT of each process.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_breaker_open = Gauge(
    "reservation_breaker_open",
    "1 where a process sends nothing to this server, because it does not answer.",
    ("server",),
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
UNCOUNTED = Counter(
    "reservation_requests_uncounted",
    "Requests that were let through because the rate limits could not be counted.",
    registry=REGISTRY,
)
_jobs = Counter("reservation_jobs", "Jobs that have ended, by how.", ("type", "outcome"), registry=REGISTRY)
_job_seconds = Histogram(
    "reservation_job_seconds",
    "From the acceptance of a job to its end, by the state's clock.",
    ("type",),
    buckets=JOB_BUCKETS,
    registry=REGISTRY,
)
EXPIRED = Counter("reservation_holds_expired", "Seats freed because their hold had run out.", registry=REGISTRY)
RESENT = Counter("reservation_jobs_resent", "Messages of jobs that were sent again.", registry=REGISTRY)
EVENTS_REMOVED = Counter(
    "reservation_events_removed", "Events that were removed after EVENT_RETENTION.", registry=REGISTRY
)
ARCHIVE_FAILED = Counter(
    "reservation_archive_failures",
    "Passes that ended because an event could not be archived. It was not removed.",
    registry=REGISTRY,
)
WEBHOOK_MISSED = Counter(
    "reservation_webhook_missed",
    "Changes that webhooks were not told, because the stream did not have them any more.",
    registry=REGISTRY,
)
_webhook_attempts = Counter(
    "reservation_webhook_attempts",
    "Messages that were sent to webhooks, by what came of it.",
    ("outcome",),
    registry=REGISTRY,
)
_webhook_seconds = Histogram(
    "reservation_webhook_seconds",
    "From sending a message to a webhook to its answer, or to giving up.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
    registry=REGISTRY,
)
FEED_DROPPED = Counter(
    "reservation_feed_dropped",
    "Connections to the feed that were closed because their client did not read.",
    registry=REGISTRY,
)
_feed_connections = Gauge(
    "reservation_feed_connections", "Clients of the live feed.", multiprocess_mode="livesum", registry=REGISTRY
)
_feed_limit = Gauge(
    "reservation_feed_connections_limit",
    "Most of them: STREAM_CONNECTION_LIMIT of each process.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_feed_events = Gauge(
    "reservation_feed_events", "Events that they watch.", multiprocess_mode="livesum", registry=REGISTRY
)
_feed_seconds = Histogram(
    "reservation_feed_delay_seconds",
    "From a change of a seat, by the state's clock, to its having been written to all who watch.",
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
_redis_seconds = Histogram(
    "reservation_redis_round_trip_seconds",
    "From sending commands in one go to having read all their replies.",
    ("server",),
    buckets=_REDIS_BUCKETS,
    registry=REGISTRY,
)

# Made once: `labels` looks each up under a lock. A counter that is not there before it first counts has no rate then.
_JOBS = {(kind, code): _jobs.labels(kind, code.slug).inc for kind in get_args(JobType) for code in OUTCOMES}
_ATTEMPTS = {outcome: _webhook_attempts.labels(outcome).inc for outcome in ("delivered", "retried", "failed", "gone")}
_JOB_SECONDS = {kind: _job_seconds.labels(kind).observe for kind in get_args(JobType)}
_requests: dict[tuple[str, str, int], Callable[[float], object]] = {}


def request_answered(method: str, route: str | None, status: int, seconds: float) -> None:
    """Counts a request.

    Arguments:
        method: as it was sent.
        route: the template that its path matches, None for none.
    """
    key = (_METHODS.get(method, OTHER), route or UNMATCHED, status)
    observe = _requests.get(key)
    if observe is None:
        # Scrapes are nobody's requests.
        child = (lambda _: None) if route == "/metrics" else _request_seconds.labels(*key[:2], str(status)).observe
        observe = _requests[key] = child
    observe(seconds)


def connections_open(count: int, limit: int) -> None:
    """Shows how many connections this process has, and may have."""
    _connections.set(count)
    _connection_limit.set(limit)


def breaker(server: str, *, is_open: bool) -> None:
    """Shows whether this process sends nothing to a server."""
    _breaker_open.labels(server).set(is_open)


def job_ended(kind: JobType, code: Code, waited_ms: int) -> None:
    """Counts a job's end; for reservation.counts. `waited_ms` is the time since it was accepted."""
    _JOBS[kind, code]()
    _JOB_SECONDS[kind](waited_ms / 1000)


def feed_open(connections: int, events: int, limit: int) -> None:
    """Shows how many watch this process's feed, how many may, and what."""
    _feed_connections.set(connections)
    _feed_limit.set(limit)
    _feed_events.set(events)


def change_told(seconds: float) -> None:
    """Counts a change that all who watch have been told of. `seconds` is the time since it was made."""
    _feed_seconds.observe(seconds)


def webhook_answered(outcome: str, seconds: float) -> None:
    """Counts an attempt to deliver a message: `delivered`, `retried`, `failed` or `gone`."""
    _ATTEMPTS[outcome]()
    _webhook_seconds.observe(seconds)


class _Timed:
    """Commands on their way, whose round trip is measured."""

    __slots__ = ("_began", "_observe", "_sent")

    def __init__(self, sent: OnItsWay, began: float, observe: Callable[[float], None]) -> None:
        self._sent, self._began, self._observe = sent, began, observe

    def replies(self) -> list[Any]:
        """Waits for them."""
        replies = self._sent.replies()
        seconds = time.perf_counter() - self._began
        if not any(isinstance(reply, _LOST) for reply in replies):
            self._observe(seconds)
        return replies


def timed(server: str, begin: Callable[[list[Command]], OnItsWay]) -> Callable[[list[Command]], OnItsWay]:
    """What sends commands to a server, with the round trip of each go measured.

    Arguments:
        server: what the figures call it.
        begin: sends them.
    """
    observe, clock = _redis_seconds.labels(server).observe, time.perf_counter

    def timed_begin(commands: list[Command]) -> OnItsWay:
        began = clock()
        return _Timed(begin(commands), began, observe)

    return timed_begin


class _Tallies(Collector):
    """The figures of all processes that share this one's folder; of this one alone if it has none."""

    def collect(self) -> Iterable[Any]:
        folder = os.environ.get(tallies.VARIABLE)
        if folder is None:
            return list(REGISTRY.collect())
        with tallies.held(folder, exclusive=False):
            return list(MultiProcessCollector(None, folder).collect())  # type: ignore[no-untyped-call]  # publishes few types


def registry(*more: Collector) -> CollectorRegistry:
    """What is shown of this host's processes.

    Arguments:
        more: what is found out when somebody asks.
    """
    shown = CollectorRegistry()
    for collector in (_Tallies(), *more):
        shown.register(collector)
    return shown


_is_plain = re.compile(r"[\w.;=/ -]+", re.ASCII).fullmatch


def exposition(shown: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The figures as text, in the format that is asked for, and its content type.

    Arguments:
        accept: the `Accept` header, whatever is in it: a version in it that is none is an error to
            prometheus_client, and it repeats any.
    """
    encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    with suppress(TypeError, ValueError):
        chosen, its_type = choose_encoder(accept)
        if _is_plain(its_type):
            encode, content_type = chosen, its_type  # type: ignore[assignment]  # takes a registry too
    return encode(shown), content_type
