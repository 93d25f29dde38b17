"""What is counted, and under which labels."""

from collections.abc import Callable

import pytest
import redis

from reservation import jobs, metrics
from reservation.metrics import REGISTRY, exposition, registry
from tests.unit.line import OnItsWay


def _requests(**labels: str) -> float:
    return REGISTRY.get_sample_value("reservation_http_request_seconds_count", labels) or 0


def test_a_request_is_counted_by_what_this_code_knows() -> None:
    """A method that nobody serves is `other`, a path that nothing is served under `unmatched`."""
    before = _requests(method="other", route="unmatched", status="404")
    for method in ("BREW", 'GET"} 1\n', "x" * 1_000):
        metrics.request_answered(method, None, 404, 0.01)
    assert _requests(method="other", route="unmatched", status="404") == before + 3
    assert "BREW" not in exposition(registry(), "")[0].decode()


def test_scrapes_are_not_counted() -> None:
    """They are nobody's requests, and would hide how few others there are."""
    metrics.request_answered("GET", "/metrics", 200, 0.01)
    assert _requests(method="GET", route="/metrics", status="200") == 0


def test_every_end_of_a_job_can_be_counted() -> None:
    """A worker must not fail over one that it does not know; and there is each before it first occurs."""
    assert set(metrics.OUTCOMES) == {*jobs._DONE, *jobs._REFUSED}
    for kind in ("HOLD_SEAT", "RESERVE_SEAT"):
        for code in metrics.OUTCOMES:
            assert REGISTRY.get_sample_value("reservation_jobs_total", {"type": kind, "outcome": code.slug}) is not None


def test_a_round_trip_is_measured_once_its_replies_are_there() -> None:
    """By the server that was asked. What brings no reply has none."""

    def count() -> float:
        return REGISTRY.get_sample_value("reservation_redis_round_trip_seconds_count", {"server": "test"}) or 0

    def fail() -> list[object]:
        raise ConnectionError

    def lose() -> list[object]:
        return [1, redis.ConnectionError("reset"), redis.TimeoutError("hung")]

    before = count()
    sent = metrics.timed("test", lambda commands: OnItsWay(lambda: [len(commands)]))([("PING",), ("PING",)])
    assert count() == before
    assert sent.replies() == [2]
    assert count() == before + 1
    with pytest.raises(ConnectionError):
        metrics.timed("test", lambda _: OnItsWay(fail))([("PING",)]).replies()
    assert count() == before + 1
    assert len(metrics.timed("test", lambda _: OnItsWay(lose))([("PING",)] * 3).replies()) == 3
    assert count() == before + 1
    refused = metrics.timed("test", lambda _: OnItsWay(lambda: [redis.ResponseError("no")]))([("PING",)])
    assert len(refused.replies()) == 1
    assert count() == before + 2


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.1", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=1.x.0", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=" + "9" * 5_000, "text/plain; version=0.0.4"),
        ('application/openmetrics-text;version=2.0"\x01<é', "text/plain; version=0.0.4"),
    ],
)
def test_the_format_is_that_which_is_asked_for(accept: str, content_type: str) -> None:
    """Whatever is asked for, there is an answer, and no header that could not be sent."""
    text, answered = exposition(registry(), accept)
    assert answered.startswith(content_type)
    assert answered.isascii()
    assert answered.isprintable()
    assert text.endswith(b"# EOF\n") == ("openmetrics" in answered)


def test_labels_are_bounded() -> None:
    """So many series at the most, whatever is asked: what is not measured is not labelled."""
    hostile: list[Callable[[], str]] = [lambda: "/seats/get/x", lambda: "\x00", lambda: "😀"]
    before = len(exposition(registry(), "")[0].splitlines())
    for number in range(500):
        for make in hostile:
            metrics.request_answered(f"{make()}{number}", None, 404, 0.01)
    assert len(exposition(registry(), "")[0].splitlines()) <= before + 20
