"""Spans, as they are made: apart in every greenlet, and silent about users."""

from collections.abc import Iterator

import pytest
from greenlet import greenlet
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reservation import tracing

USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use("test", SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop()


def _named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def _trace(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def _leave() -> str:
    parent = greenlet.getcurrent().parent
    assert parent is not None
    return str(parent.switch())


def test_what_takes_turns_does_not_mix(spans: InMemorySpanExporter) -> None:
    """And a greenlet that has left a span open begins the next thing in a trace of its own."""

    def work(name: str) -> None:
        while True:
            tracing.begin("SERVER", name, {}, {})
            with tracing.script(f"{name} script"):
                name = _leave()  # left in the middle
            if name != "left open":
                tracing.end()
            name = _leave()

    one, other = greenlet(work), greenlet(work)
    one.switch("one")
    other.switch("other")
    assert tracing.ids() == {}
    one.switch("left open")
    other.switch("ends")
    one.switch("again")
    one.switch("ends")
    for name in ("other", "again"):
        request, script = _named(spans, name), _named(spans, f"{name} script")
        assert request.parent is None
        assert script.parent == request.context
    assert len({_trace(_named(spans, f"{name} script")) for name in ("one", "other", "again")}) == 3


def test_a_failure_is_told_by_its_name(spans: InMemorySpanExporter) -> None:
    """Its text may say who."""
    tracing.begin("CONSUMER", "process", {}, {})
    with pytest.raises(ValueError, match=USER), tracing.script("hold"):
        raise ValueError(USER)
    tracing.end(error="Retry")
    script = _named(spans, "hold")
    assert script.attributes is not None
    assert script.attributes["error.type"] == "ValueError"
    assert not script.status.is_ok
    assert not script.events
    assert USER not in script.to_json()
    assert not _named(spans, "process").status.is_ok


def test_what_belongs_to_nothing_has_no_span(spans: InMemorySpanExporter) -> None:
    """Heartbeats call scripts too."""
    with tracing.script("heartbeat"):
        assert tracing.ids() == {}
    assert tracing.caller() == {}
    tracing.end()
    assert not spans.get_finished_spans()
