"""Traces, as a collector gets them: from real processes, over OTLP/HTTP."""

import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conftest import wait_for
from tests.e2e.conftest import Process, Service, clean_environment, free_port

#: A caller's trace and span (W3C Trace Context).
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Span(NamedTuple):
    """What a collector is told of one."""

    trace: str
    id: str
    parent: str
    service: str
    kind: int
    name: str
    attributes: dict[str, object]


#: Kinds, as in the protocol.
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


class Collector:
    """Takes spans."""

    def __init__(self) -> None:
        self.received = b""
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector._take(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """Of a service that sends its spans here, soon."""
        url = f"http://127.0.0.1:{self.server.server_port}"
        return {
            "TRACING": "on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "NO_PROXY": "127.0.0.1",
        }

    def _take(self, body: bytes) -> None:
        self.received += body
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            for span in (each for scope in resource.scope_spans for each in scope.spans):
                values = {each.key: each.value for each in span.attributes}
                self.spans.append(
                    Span(
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        about["service.name"],
                        span.kind,
                        span.name,
                        {key: value.string_value or value.int_value for key, value in values.items()},
                    )
                )

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


def _hold(service: Service, seat: str, user: str, trace: str) -> None:
    headers = {"traceparent": f"00-{trace}-{PARENT}-01"}
    held = service.http.post("/seats/hold", json={"id": seat, "UUID": user}, headers=headers)
    assert service.result(held)["result"]["success"]


def _check(spans: list[Span], trace: str) -> None:
    """That they are one hold's, from the request to the script, each below the one that it is a part of."""
    assert {span.trace for span in spans} == {trace}
    below = defaultdict(list)
    for span in spans:
        below[span.parent].append(span)
    (request,) = below.pop(PARENT)
    assert (request.kind, request.name, request.service) == (SERVER, "POST /seats/hold", "seat-reservation-api")
    *scripts, send = sorted(below.pop(request.id), key=lambda span: span.kind)
    assert {span.kind for span in scripts} == {CLIENT}
    assert "accept_hold" in {span.name for span in scripts}
    assert (send.kind, send.name) == (PRODUCER, "send seat_operations")
    (process,) = below.pop(send.id)
    assert (process.kind, process.name) == (CONSUMER, "process hold_seat")
    assert process.service == "seat-reservation-worker"
    (script,) = below.pop(process.id)
    assert (script.kind, script.name, script.attributes["db.system.name"]) == (CLIENT, "hold", "redis")
    assert not below


def _complete(spans: list[Span]) -> bool:
    return {"POST /seats/hold", "process hold_seat", "hold"} <= {span.name for span in spans}


def test_one_trace_from_request_through_message_to_script(
    make_service: Callable[..., Service], collector: Collector
) -> None:
    """Below the caller's own span; in every line that is logged on the way; and with nothing about a user."""
    service = make_service(**collector.environment)
    event, user = service.create(10), str(uuid4())
    _hold(service, f"{event}-1", user, TRACE)
    wait_for(lambda: _complete(collector.of(TRACE)))
    spans = collector.of(TRACE)
    _check(spans, TRACE)
    (request,) = [span for span in spans if span.kind == SERVER]
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/seats/hold",
        "http.response.status_code": 202,
        "url.path": "/seats/hold",
        "url.scheme": "http",
    }
    assert user.encode() not in collector.received
    for name, said in {"server": "request", "worker": "job ended"}.items():
        log = service.folder / "logs" / f"{name}.log"
        wait_for(lambda log=log: TRACE.encode() in log.read_bytes())  # type: ignore[misc]  # bound now; it is written later
        lines = [line for line in map(orjson.loads, log.read_bytes().splitlines()) if line.get("trace_id") == TRACE]
        assert [line["event"] for line in lines] == [said]

    service.http.get(f"/seats/get/{user}-1é", headers={"traceparent": "nonsense"})
    wait_for(lambda: [span for span in collector.spans if span.name == "GET /seats/get/{seat_id}"])
    (asked,) = [span for span in collector.spans if span.name == "GET /seats/get/{seat_id}"]
    assert asked.parent == ""
    assert asked.attributes["url.path"] == f"/seats/get/{user[:8]}…-1\\xe9"
    assert user.encode() not in collector.received


def test_traces_of_requests_at_the_same_time_do_not_mix(
    make_service: Callable[..., Service], collector: Collector
) -> None:
    """Though one thread answers them all, sends their messages together, and one carries out all of the jobs."""
    service = make_service(API_PROCESSES="1", WORKER_PROCESSES="1", MAX_HELD_SEATS="200", **collector.environment)
    event = service.create(300)
    traces = [uuid4().hex for _ in range(300)]
    with ThreadPoolExecutor(32) as pool:
        for done in [
            pool.submit(_hold, service, f"{event}-{number}", str(uuid4()), trace)
            for number, trace in enumerate(traces, 1)
        ]:
            done.result()
    wait_for(lambda: all(_complete(collector.of(trace)) for trace in traces))
    for trace in traces:
        _check(collector.of(trace), trace)


def test_a_collector_that_is_gone_delays_nobody(make_service: Callable[..., Service]) -> None:
    """Neither an answer nor a stop."""
    gone = {"TRACING": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "NO_PROXY": "127.0.0.1"}
    service = make_service(**gone)
    event = service.create(10)
    _hold(service, f"{event}-1", str(uuid4()), TRACE)
    assert service.process.stop(timeout_s=8) == 0


_OFF = """
import sys, traceback

class Refuses:
    def find_spec(self, name, *_):
        if name.startswith("opentelemetry"):
            *_, wants = [f.filename for f in traceback.extract_stack()[:-1] if "importlib" not in f.filename]
            assert "/redis/" in wants, wants  # which has a use of its own for it, where it is installed
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuses())
from reservation import logs, settings, tracing
from actors import worker
from reservation_http import server
from reservation_cli import main
tracing.require(settings.load())
tracing.start(settings.load(), "api")
with tracing.sending("q"), tracing.script("hold"):
    assert (tracing.caller(), tracing.ids()) == ({}, {})
tracing.begin("SERVER", "GET", {}, {})
tracing.end()
tracing.stop()
"""


def test_off_it_is_not_even_imported(tmp_path: Path) -> None:
    """Nor by what a request or a message calls."""
    subprocess.run([sys.executable, "-c", _OFF], cwd=tmp_path, env=clean_environment(), check=True, timeout=30)


def test_on_without_its_packages_it_does_not_start(tmp_path: Path) -> None:
    """And says what to install."""
    (tmp_path / "opentelemetry.py").write_text("raise ModuleNotFoundError(name='opentelemetry')")
    process = Process("worker", cwd=tmp_path, TRACING="on", PYTHONPATH=str(tmp_path))
    process.wait_for_line("TRACING: is on, but opentelemetry is not installed: pip install 'seat-reservation[tracing]'")
    assert process.process.wait(20) == 1
    process.stop()
