"""Traces: one from a request through its message to the script that decides (docs/decisions/0015-tracing.md).

All that knows OpenTelemetry, which is imported only by `start`. Until then, and so with TRACING=off, every function
here does nothing.

Requests and messages are worked on in greenlets that are used again (reservation.rounds). Each has a context of its own
(PEP 567), so what is under way in one is not seen in another; and what begins, begins in an empty context, whatever
the greenlet did before.
"""

import threading
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, NamedTuple

from reservation.settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, SpanKind

Attributes = Mapping[str, str | int]

#: What sending the last spans may delay a stop by, seconds: the collector may be gone, or hang.
_LAST_S = 2.0

_NOTHING = nullcontext()
_NO_IDS: dict[str, str] = {}
#: What names the caller's span: of W3C Trace Context, in a request's headers and a message's options.
_HEADERS = ("traceparent", "tracestate")


class _Begun(NamedTuple):
    """A request or message that is under way, and how to leave its context."""

    span: "Span"
    token: "Token[Context]"


class _Tracer:
    """OpenTelemetry, imported.

    Arguments:
        process: what the traces call this process.
        processor: takes the spans that have ended.
    """

    def __init__(self, process: str, processor: "SpanProcessor") -> None:
        from opentelemetry import context, trace
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = Resource.create().merge(Resource({SERVICE_NAME: f"seat-reservation-{process}"}))
        # What the environment says comes last, and so wins.
        self.provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self.provider.add_span_processor(processor)
        # Not the propagators of the environment: the default has baggage, in which a caller may put anything.
        self._propagator = TraceContextTextMapPropagator()
        self._tracer = self.provider.get_tracer("reservation")
        self._context, self._trace = context, trace
        self._begun: ContextVar[_Begun | None] = ContextVar("begun", default=None)

    def begin(self, kind: str, name: str, caller: Mapping[str, str], attributes: Attributes) -> None:
        parent = self._propagator.extract(caller, self._context.Context())
        span = self._tracer.start_span(name, parent, self._kind(kind), attributes)
        self._begun.set(_Begun(span, self._context.attach(self._trace.set_span_in_context(span, parent))))

    def end(self, name: str, attributes: Attributes, error: str) -> None:
        begun = self._begun.get()
        if begun is None:
            return
        self._begun.set(None)
        self._context.detach(begun.token)
        if name:
            begun.span.update_name(name)
        begun.span.set_attributes(attributes)
        if error:
            self._failed(begun.span, error)
        begun.span.end()

    @contextmanager
    def child(self, kind: str, name: str, attributes: Attributes) -> Generator[None]:
        span = self._tracer.start_span(name, None, self._kind(kind), attributes)
        token = self._context.attach(self._trace.set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            self._failed(span, type(error).__name__)
            raise
        finally:
            self._context.detach(token)
            span.end()

    @property
    def under_way(self) -> bool:
        return self._trace.get_current_span().get_span_context().is_valid

    def caller(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        self._propagator.inject(headers)
        return headers

    def ids(self) -> dict[str, str]:
        span = self._trace.get_current_span().get_span_context()
        return {"trace_id": f"{span.trace_id:032x}"} if span.is_valid else _NO_IDS

    def _kind(self, name: str) -> "SpanKind":
        return self._trace.SpanKind[name]

    def _failed(self, span: "Span", error: str) -> None:
        # The name alone: what an exception says may have a user in it.
        span.set_attribute("error.type", error)
        span.set_status(self._trace.StatusCode.ERROR)


_tracer: _Tracer | None = None


def require(settings: Settings) -> None:
    """Raises SettingsError if there shall be traces and the packages for them are not installed."""
    if settings.tracing == "off":
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export  # noqa: F401 - whether they are there
    except ImportError as error:
        raise SettingsError(
            f"TRACING: is on, but {error.name} is not installed: pip install 'seat-reservation[tracing]'"
        ) from None


def start(settings: Settings, process: str) -> None:
    """Sends the spans of this process, if it is set, where `OTEL_EXPORTER_OTLP_ENDPOINT` says. Raises
    SettingsError.

    Arguments:
        process: what the traces call it, e.g. `api`.
    """
    if settings.tracing == "off":
        return
    require(settings)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    use(process, BatchSpanProcessor(OTLPSpanExporter()))


def use(process: str, processor: "SpanProcessor") -> None:
    """Gives spans to a processor from now on."""
    global _tracer
    _tracer = _Tracer(process, processor)


def stop() -> None:
    """Sends the spans that are left, and makes no more."""
    global _tracer
    if _tracer is not None:
        last = threading.Thread(target=_tracer.provider.shutdown, daemon=True)
        _tracer = None
        last.start()
        last.join(_LAST_S)


def is_on() -> bool:
    """Whether there are traces."""
    return _tracer is not None


def begin(kind: str, name: str, caller: Mapping[str, str], attributes: Attributes) -> None:
    """Begins the span of a request or a message in this greenlet, which belongs to no other.

    Arguments:
        kind: SERVER or CONSUMER.
        caller: has the `traceparent` of the span that it is a part of, if there is one.
    """
    if _tracer is not None:
        _tracer.begin(kind, name, caller, attributes)


def end(name: str = "", attributes: Attributes = _NO_IDS, error: str = "") -> None:
    """Ends what `begin` has begun in this greenlet, if it has.

    Arguments:
        name: a better one, now that it is known.
        error: what kind of failure it was; empty: none.
    """
    if _tracer is not None:
        _tracer.end(name, attributes, error)


def sending(queue: str) -> AbstractContextManager[None]:
    """The span in which a message is made and sent; `caller` is its carrier meanwhile."""
    if _tracer is None:
        return _NOTHING
    return _tracer.child(
        "PRODUCER",
        f"send {queue}",
        {"messaging.system": "dramatiq", "messaging.operation.type": "send", "messaging.destination.name": queue},
    )


def script(name: str) -> AbstractContextManager[None]:
    """The span of a script's call, if it is for a request or message: not for a heartbeat."""
    if _tracer is None or not _tracer.under_way:
        return _NOTHING
    return _tracer.child(
        "CLIENT",
        name,
        {"db.system.name": "redis", "db.operation.name": "EVALSHA", "db.stored_procedure.name": name},
    )


def caller() -> dict[str, str]:
    """What a message's options say of the span that it is a part of."""
    return {} if _tracer is None else _tracer.caller()


def called(options: Mapping[str, object]) -> dict[str, str]:
    """What names the caller's span, of a message's options or a request's headers."""
    return {name: value for name in _HEADERS if isinstance(value := options.get(name), str)}


def ids() -> dict[str, str]:
    """What a log line says of the trace that it belongs to."""
    return _NO_IDS if _tracer is None else _tracer.ids()
