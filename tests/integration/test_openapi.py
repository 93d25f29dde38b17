"""The OpenAPI documents: generated, valid, complete, and true."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from falcon import testing
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import BaseModel, ValidationError

from reservation.ids import SeatId
from reservation.models import Event
from reservation.requests import EventChange, Holding, NewEvent
from reservation.settings import Settings
from reservation.store import Store
from reservation.webhooks import TYPES, Outcome
from reservation_cli.spec import documents
from reservation_http.app import Services, create_app
from reservation_http.problems import KINDS
from tests.conftest import Buyer
from tests.web import JWT

SPEC = Path(__file__).parents[2] / "spec"
DOCUMENTS = documents()
LAYOUT = {"sections": [{"name": "Stalls", "rows": [{"seats": 10}]}]}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_files_are_what_the_code_says(name: str) -> None:
    """Otherwise: make spec."""
    assert (SPEC / name).read_text(encoding="utf-8") == DOCUMENTS[name]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_are_valid(name: str) -> None:
    """By the rules of their version."""
    document = yaml.safe_load(DOCUMENTS[name])
    assert document["openapi"] == {"openapi.yaml": "3.1.0", "openapi-3.0.yaml": "3.0.3"}[name]
    validate(document)


def _contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            if "requestBody" in operation:
                yield where, operation["requestBody"]["content"]["application/json"]
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    yield f"{where} {status}", content


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_body_has_an_example_that_fits_its_schema(name: str) -> None:
    """Requests, answers and problems."""
    document = yaml.safe_load(DOCUMENTS[name])
    seen = 0
    for where, content in _contents(document):
        examples = [content["example"]] if "example" in content else [e["value"] for e in content["examples"].values()]
        assert examples, where
        if document["openapi"] == "3.1.0":
            for example in examples:
                _check(document, content["schema"], example)
        seen += len(examples)
    assert seen > 60


def _check(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


@pytest.mark.parametrize(
    ("name", "members", "valid"),
    [
        ("Holding", {"id": "k3v9x2m7qa-1"}, True),
        ("Holding", {"ids": ["k3v9x2m7qa-1", "k3v9x2m7qa-2"]}, True),
        ("Holding", {}, False),
        ("Holding", {"id": "k3v9x2m7qa-1", "ids": ["k3v9x2m7qa-1", "k3v9x2m7qa-2"]}, False),
        ("NewEvent", {"name": "x", "totalSeats": 10}, True),
        ("NewEvent", {"name": "x", "layout": LAYOUT}, True),
        ("NewEvent", {"name": "x", "layout": LAYOUT, "totalSeats": 10}, True),
        ("NewEvent", {"name": "x"}, False),
        ("EventChange", {"closesAt": None}, True),
        ("EventChange", {"opensAt": None}, False),
        ("EventChange", {}, False),
    ],
)
def test_alternatives_are_what_the_service_takes(name: str, members: dict[str, Any], valid: bool) -> None:
    """Each has a schema of its own, so that generators make a type of it."""
    document = yaml.safe_load(DOCUMENTS["openapi.yaml"])
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    assert Draft202012Validator(schema).is_valid(members) is valid
    models: dict[str, type[BaseModel]] = {"Holding": Holding, "NewEvent": NewEvent, "EventChange": EventChange}
    try:
        models[name].model_validate(members)
    except ValidationError:
        assert not valid
    else:
        assert valid


@pytest.mark.parametrize("name", DOCUMENTS)
def test_words_have_one_name_and_bodies_a_type(name: str) -> None:
    """What is listed twice would be two types in a generated client, and a list of required members none."""
    schemas = yaml.safe_load(DOCUMENTS[name])["components"]["schemas"]
    listed = [tuple(enum) for schema in schemas.values() for enum in _enums(schema) if len(enum) > 1]
    assert ("Available", "On hold", "Reserved", "Blocked") in listed
    assert {words for words in listed if listed.count(words) > 1} <= {("up", "down"), ("by-request", "gone", "failing")}
    alternatives = [part for s in schemas.values() for part in (*s.get("oneOf", ()), *s.get("anyOf", ()))]
    assert alternatives
    assert all(part.keys() == {"$ref"} for part in alternatives)


def _enums(schema: Any) -> Iterator[list[str]]:
    if isinstance(schema, dict):
        if "enum" in schema:
            yield schema["enum"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _enums(part)


def test_what_may_be_null_says_so() -> None:
    """Which is the one member with which that means something; in either version's way."""
    new, old = (
        yaml.safe_load(DOCUMENTS[name])["components"]["schemas"] for name in ("openapi.yaml", "openapi-3.0.yaml")
    )
    assert new["EventChange"]["properties"]["closesAt"]["type"] == ["integer", "null"]
    assert old["EventChange"]["properties"]["closesAt"]["nullable"] is True
    assert (json.dumps(new).count('"null"'), json.dumps(old).count('"nullable"')) == (1, 1)


def test_what_is_posted_to_webhooks_is_described() -> None:
    """Every type, with an example that fits its schema; OpenAPI 3.0 has no place for it."""
    document = yaml.safe_load(DOCUMENTS["openapi.yaml"])
    assert list(document["webhooks"]) == list(TYPES)
    for kind in document["webhooks"].values():
        content = kind["post"]["requestBody"]["content"]["application/json"]
        _check(document, content["schema"], content["example"])
    assert "webhooks" not in yaml.safe_load(DOCUMENTS["openapi-3.0.yaml"])


def test_webhooks_are_as_described(make_settings: Callable[..., Settings], event: Event, buyer: Buyer) -> None:
    """Real answers, and a real message."""
    document = yaml.safe_load(DOCUMENTS["openapi.yaml"])
    services = Services.connect(make_settings(webhooks="on"))
    client, webhooks = testing.TestClient(create_app(services)), services.store.webhooks
    one, all_ = "/events/{event_id}/webhooks/{webhook_id}", f"/events/{event.id}/webhooks"
    made = client.simulate_post(all_, json={"url": "https://93.184.215.14/"})
    mine = f"{all_}/{made.json['id']}"
    buyer.hold(SeatId(event.id, 1))
    buyer.reserve(SeatId(event.id, 1))
    (delivery,) = webhooks.follow([event.id])[event.id].claimed
    attempt = webhooks.begin(event.id, delivery)
    assert attempt is not None
    webhooks.end(event.id, attempt, Outcome(None, "timeout", again_ms=5_000))
    _check(document, {"$ref": "#/components/schemas/Message"}, json.loads(attempt.body))
    for method, path, target, body in (
        ("post", "/events/{event_id}/webhooks", all_, {"url": "https://93.184.215.14/"}),
        ("post", "/events/{event_id}/webhooks", all_, {"url": "https://127.0.0.1/"}),
        ("get", "/events/{event_id}/webhooks", all_, None),
        ("patch", one, mine, {"enabled": False}),
        ("get", one, mine, None),
        ("get", f"{one}/deliveries", f"{mine}/deliveries", None),
        ("post", f"{one}/deliveries/{{delivery_id}}/replay", f"{mine}/deliveries/{delivery}/replay", None),
    ):
        answer = client.simulate_request(method.upper(), target, json=body)
        described = document["paths"][path][method]["responses"][str(answer.status_code)]
        _check(document, described["content"][answer.headers["content-type"]]["schema"], answer.json)


def test_every_kind_of_problem_has_an_example() -> None:
    """But for those that no described operation can answer."""
    document = yaml.safe_load(DOCUMENTS["openapi.yaml"])
    shown = {slug for _, content in _contents(document) for slug in content.get("examples", {})}
    assert shown == set(KINDS) - {
        "unknown-route",
        "method-not-allowed",
        "bad-request",
        "head-too-large",
        "not-implemented",
    }


def test_answers_are_as_described(settings: Settings, store: Store, event: Event, buyer: Buyer) -> None:
    """Real answers fit the schemas of their operations, free seats included, which no model writes."""
    document = yaml.safe_load(DOCUMENTS["openapi.yaml"])
    client = testing.TestClient(create_app(Services.connect(settings)))
    buyer.hold(SeatId(event.id, 2))
    held, free = {"id": f"{event.id}-2", "UUID": buyer.user}, {"id": f"{event.id}-3", "UUID": buyer.user}
    queued = client.simulate_post("/seats/hold", json=free)
    calls = [
        ("post", "/events/create", "/events/create", {"name": "x", "totalSeats": 10}),
        ("get", "/events", "/events?limit=1", None),
        ("get", "/events/{event_id}", f"/events/{event.id}", None),
        ("get", "/events/{event_id}/seats", f"/events/{event.id}/seats", None),
        ("get", "/events/{event_id}/holds", f"/events/{event.id}/holds", None),
        ("get", "/seats/list/{event_id}", f"/seats/list/{event.id}?limit=3", None),
        ("get", "/seats/list/{event_id}", f"/seats/list/{event.id}", None),
        ("get", "/seats/get/{seat_id}", f"/seats/get/{event.id}-2", None),
        ("get", "/seats/get/{seat_id}", f"/seats/get/{event.id}-99", None),
        ("get", "/seats/job/{job_id}/status", queued.json["statusEndpoint"], None),
        ("post", "/seats/refresh", "/seats/refresh", held),
        ("post", "/seats/refresh", "/seats/refresh", free),
        ("post", "/seats/reserve", "/seats/reserve", held),
        ("post", "/seats/release", "/seats/release", held),
        ("get", "/health/ready", "/health/ready", None),
        ("get", "/ops/figures", "/ops/figures", None),
    ]
    me = {"X-User-UUID": buyer.user}
    for method, path, target, body in calls:
        answer = client.simulate_request(method.upper(), target, json=body, headers={} if body else me)
        described = document["paths"][path][method]["responses"][str(answer.status_code)]
        media_type = answer.headers["content-type"]
        _check(document, described["content"][media_type]["schema"], answer.json)


def test_the_service_serves_its_documents(make_settings: Callable[..., Settings]) -> None:
    """As they are written down where tokens say who asks; else without what is about tokens."""
    client = testing.TestClient(create_app(Services.connect(make_settings(**JWT))))
    assert client.simulate_get("/openapi.yaml").text == DOCUMENTS["openapi.yaml"]
    assert client.simulate_get("/openapi.json").json == yaml.safe_load(DOCUMENTS["openapi.yaml"])
    without = testing.TestClient(create_app(Services.connect(make_settings()))).simulate_get("/openapi.json").json
    validate(without)
    assert "401" not in without["paths"]["/seats/hold"]["post"]["responses"]
    assert "UUID" in without["components"]["schemas"]["SeatActionById"]["required"]


def test_the_page_to_read_them_asks_nobody_else_for_anything(settings: Settings) -> None:
    """Neither for scripts nor for the document."""
    client = testing.TestClient(create_app(Services.connect(settings)))
    page = client.simulate_get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert 'src="http' not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
