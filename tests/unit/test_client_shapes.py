"""The client package against the OpenAPI document, from which it cannot drift: what it asks and reads is there."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import reservation
from reservation_client import AsyncClient, Client, Ticket, __version__, errors, models
from reservation_client.operations import Operations
from reservation_client.steps import Answer, NextLine, Request, Step, Steps
from reservation_http.problems import KINDS, VERDICTS

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "spec" / "openapi.yaml").read_text("utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
MODELS = [found for _, found in inspect.getmembers(models, is_dataclass)]
EVENT, SEAT, JOB, TICKET = "k3v9x2m7qa", "k3v9x2m7qa-12", "k3v9x2m7qa-4m0s8y2k1c7r5t9w3x6z0b8d2", "9s3k1x7m5q0w2e8r4t6"
WAITING = Ticket(ticket=TICKET, event=EVENT, status="waiting", estimated_wait_time=5, server_time=1)
WHEN = {"priority": "vip", "not_before": 1767225660000}

#: Calls of each method, with all of its arguments.
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    (
        "create_event",
        ("Opening night", 20),
        {"opens_at": 1, "closes_at": 2, "admit_per_minute": 60, "admission_ttl": 600},
    ),
    ("create_event", ("Opening night",), {"layout": {"sections": []}}),
    ("get_event", (EVENT,), {}),
    ("change_event", (EVENT,), {"opens_at": 1, "closes_at": 2}),
    ("change_event", (EVENT,), {"closes_at": "never"}),
    ("list_events", (), {"page_size": 3}),
    ("get_layout", (EVENT,), {}),
    ("get_seat_map", (EVENT,), {}),
    ("list_free_seats", (EVENT,), {"limit": 3, "cursor": "100"}),
    ("list_own_seats", (EVENT,), {}),
    ("audit", (EVENT,), {"since": 1, "seat": SEAT, "user": "u", "page_size": 3}),
    ("watch", (EVENT,), {"since": 3}),
    ("get_seat", (SEAT,), {}),
    ("hold", (SEAT,), {"admission": "a", "wait_s": 0.001, **WHEN}),
    ("hold", ([SEAT, f"{EVENT}-13"],), {"wait_s": 0.001}),
    ("hold_best", (EVENT, 2), {"adjacent": "required", "admission": "a", "wait_s": 0.001, **WHEN}),
    ("refresh", (SEAT,), {}),
    ("reserve", (SEAT,), {"reference": "order 5", "wait_s": 0.001, **WHEN}),
    ("release", (SEAT,), {}),
    ("cancel", (SEAT,), {"user": "u"}),
    ("block", (EVENT, [SEAT]), {"reason": "Broken armrest"}),
    ("unblock", (EVENT, [SEAT]), {"reason": "Mended"}),
    ("get_job", (JOB,), {}),
    ("wait_for_job", (JOB,), {"wait_s": 1.5}),
    ("draw_ticket", (EVENT,), {}),
    ("get_ticket", (EVENT, TICKET), {}),
    ("wait_for_admission", (WAITING,), {"wait_s": 0}),
]


def _operation(request: Request) -> tuple[str, dict[str, Any]]:
    """The path that a request is for, and how that is described."""
    path = request.path.partition("?")[0]
    for described, operations in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", described), path) and request.method.lower() in operations:
            return described, operations[request.method.lower()]
    raise AssertionError(f"{request.method} {request.path} is not described")


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    """It, or what it refers to."""
    found: dict[str, Any] = SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _check(request: Request, operation: dict[str, Any]) -> None:
    """Everything that is sent is described."""
    taken = {(parameter["in"], parameter["name"]) for parameter in operation["parameters"]}
    _, _, query = request.path.partition("?")
    sent = {("query", pair.partition("=")[0]) for pair in query.split("&") if pair}
    sent |= {("header", name) for name in request.headers if name not in ("Authorization", "Accept")}
    assert sent <= taken, (request, sent - taken)
    keyed = ("header", "Idempotency-Key")
    assert (keyed in sent) == (keyed in taken), f"{request.method} {request.path}: with a key, or without"
    if request.body is None:
        assert "requestBody" not in operation
        return
    assert isinstance(request.body, dict)
    schema = _schema(operation["requestBody"]["content"]["application/json"]["schema"])
    parts = [_schema(part) for part in schema.get("oneOf", schema.get("anyOf", [schema]))]
    assert any(request.body.keys() <= part["properties"].keys() for part in parts)


def _carry_out(steps: Steps[Any], seen: set[str]) -> Any:
    """Answers a conversation by the document's own examples."""
    lines: Iterator[str] = iter(())
    result: object = None
    try:
        while True:
            step: Step = steps.send(result)
            result = None
            if isinstance(step, Request):
                path, operation = _operation(step)
                _check(step, operation)
                seen.add(f"{step.method} {path}")
                status = min(status for status in operation["responses"] if status < "300")
                ((kind, content),) = list(operation["responses"][status].get("content", {"": {}}).items())[:1]
                if step.stream:
                    lines = iter(content["example"].split("\n"))
                body = json.dumps(content["example"]).encode() if "json" in kind else b""
                result = Answer(int(status), {"content-type": kind}, body)
            elif isinstance(step, NextLine):
                result = next(lines, None)
    except StopIteration as end:
        return end.value


def test_what_the_client_asks_is_described() -> None:
    """Each method, carried out by what the document has for answers: paths, parameters, bodies, keys; and it can read
    those answers."""
    called: dict[str, set[str]] = {}
    seen: set[str] = set()
    for name, arguments, options in CALLS:
        operations = Operations("0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70", token="t")  # noqa: S106 - no secret
        begun = getattr(operations, name)(*arguments, **options)
        answered = _carry_out(next(begun) if name in ("list_events", "audit", "watch") else begun, seen)
        assert answered or name in ("release", "cancel", "block", "unblock"), name
        bound = inspect.signature(getattr(Operations, name)).bind(operations, *arguments, **options)
        called.setdefault(name, set()).update(bound.arguments)
    public = {name for name in vars(Client) if not name.startswith("_")} - {"close", "call"}
    assert called.keys() == public
    for name, arguments_seen in called.items():
        assert arguments_seen == inspect.signature(getattr(Operations, name)).parameters.keys(), name
    assert public | {"aclose", "call"} == {name for name in vars(AsyncClient) if not name.startswith("_")}
    operator = {"/health", "/metrics", "/ops", "/webhooks"}  # `call` is for these, and none has a method of its own
    left = {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods} - seen
    assert {path for path in left if not any(part in path for part in operator)} == {
        "GET /events/{event_id}/changes"  # the same as the stream, which `watch` follows
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_the_client_reads_is_described(model: type[Any]) -> None:
    """Each model has the schema of its name: no member that is not there, and none is needed that may be absent."""
    schema = SCHEMAS[model.__name__]
    assert set(models.public_names(model)) <= schema["properties"].keys()
    assert set(models.required(model)) <= set(schema["required"])


def test_problems_with_a_class_of_their_own_are_those_that_there_are() -> None:
    """At once, or as a job's verdict."""
    assert errors._KINDS.keys() <= {*KINDS, *VERDICTS}


def test_the_client_has_the_version_of_the_service() -> None:
    """They are one source, and are released together."""
    assert __version__ == reservation.__version__


def test_what_is_new_breaks_nothing() -> None:
    """Members, causes and words that this client does not know; and a member that is null."""
    told = {"sequence": 3, "seat": SEAT, "cause": "painted", "time": 1, "to": None, "colour": {"name": "red"}}
    change = models.read(models.Change, told)
    assert (change.cause, change.before, change.to) == ("painted", None, None)


def test_what_is_missing_is_named() -> None:
    """Rather than met later as an AttributeError."""
    with pytest.raises(errors.UnexpectedAnswer, match="Event without totalSeats, createdAt"):
        models.read(models.Event, {"id": "x", "name": "y"})
    with pytest.raises(errors.UnexpectedAnswer, match="Event was expected, not list"):
        models.read(models.Event, [])
