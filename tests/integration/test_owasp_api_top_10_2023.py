"""The OWASP API Security Top 10 (2023), entry by entry: https://owasp.org/API-Security/editions/2023/en/0x11-t10/

Entry 10 hardly applies, since the service believes no other's answer; docs/security.md says more.
"""

import socket
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from falcon import testing

from reservation import logs
from reservation.errors import LimitReached
from reservation.ids import SeatId
from reservation.models import Event
from reservation.settings import Settings, SettingsError
from reservation.store import Store
from reservation_cli.main import cli
from reservation_http.app import Services, create_app, routes
from reservation_http.tokens import Tokens
from tests.conftest import Buyer
from tests.web import JSON, JWT, bearer, post, problem

ACTIONS = ("hold", "refresh", "release", "reserve")
NEW = {"name": "Opening night", "totalSeats": 10}
#: Windows that do not end while a test runs.
LIMITS = {
    "rate_limits": "on",
    "rate_limit_user": "10/day",
    "rate_limit_address": "30/day",
    "rate_limit_events": "3/day",
}


@pytest.mark.parametrize("action", ["refresh", "release", "reserve"])
def test_api1_broken_object_level_authorization(
    secured: testing.TestClient, event: Event, buyer: Buyer, action: str
) -> None:
    """Knowing an object's id opens nothing: whose it is decides, with every request."""
    buyer.hold(SeatId(event.id, 1))
    before = buyer.store.seats.get(SeatId(event.id, 1))
    stranger = bearer(str(uuid4()), "events:write")
    problem(post(secured, f"/seats/{action}", {"id": f"{event.id}-1"}, **stranger), 403, "not-holder")
    named = {"id": f"{event.id}-1", "UUID": buyer.user}
    problem(post(secured, f"/seats/{action}", named, **stranger), 403, "user-mismatch")
    assert buyer.store.seats.get(SeatId(event.id, 1)).expires_at == before.expires_at
    queued = post(secured, "/seats/reserve", {"id": f"{event.id}-1"}, **bearer(buyer.user))
    job = secured.simulate_get(queued.json["statusEndpoint"], headers=stranger).json
    assert (job["data"]["userUUID"], job.get("result")) == ("", None)


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"aud": "others"}, {"iss": "https://evil.example"}, {"sub": ""}, {"nbf": 9_999_999_999}],
)
def test_api2_broken_authentication(
    secured: testing.TestClient, event: Event, user: str, claims: dict[str, object]
) -> None:
    """What a token says is believed only if all of it is right (test_tokens.py tries the rest)."""
    refused = post(secured, "/seats/hold", {"id": f"{event.id}-1"}, **bearer(user, **claims))
    problem(refused, 401, "token-invalid")
    assert refused.headers["www-authenticate"].startswith("Bearer ")


def test_api2_guessing_is_limited(make_client: Callable[..., testing.TestClient], user: str) -> None:
    """Wrong tokens count for the address they come from."""
    client = make_client(**JWT, **LIMITS)
    for _ in range(30):
        problem(client.simulate_get("/events/x", headers={"Authorization": "Bearer a.b.c"}), 401, "token-invalid")
    problem(client.simulate_get("/events/x", headers={"Authorization": "Bearer a.b.c"}), 429, "rate-limited")


@pytest.mark.parametrize("member", ["status", "expiresAt", "userUUID", "createdAt", "id", "reservingUntil"])
def test_api3_broken_object_property_level_authorization(
    client: testing.TestClient, event: Event, buyer: Buyer, member: str
) -> None:
    """Nobody sets what is not theirs to set, or sees what is not theirs to see."""
    body = {"id": f"{event.id}-1", "UUID": buyer.user} if member != "id" else dict(NEW)
    path = "/seats/hold" if member != "id" else "/events/create"
    refused = problem(post(client, path, {**body, member: "Reserved"}), 422, "invalid-request")
    assert [error["field"] for error in refused["errors"]] == [member]
    buyer.hold(SeatId(event.id, 1))
    seen = client.simulate_get(f"/seats/get/{event.id}-1").json
    assert set(seen) == {"id", "eventId", "UUID", "status", "expiresAt", "serverTime"}
    assert seen["UUID"] == ""


def test_api4_unrestricted_resource_consumption(
    make_client: Callable[..., testing.TestClient], event: Event, user: str
) -> None:
    """All that a request can make grow has a bound: bodies, events, holds, jobs, pages, requests."""
    client = make_client(max_open_jobs=2, **LIMITS)
    problem(client.simulate_post("/seats/hold", body=b" " * 16_385, headers=JSON), 413, "body-too-large")
    problem(post(client, "/events/create", {**NEW, "totalSeats": 10_001}), 422, "invalid-request")
    problem(client.simulate_get(f"/seats/list/{event.id}?limit=1001"), 422, "invalid-request")
    body = {"id": f"{event.id}-1", "UUID": user}
    taken = [post(client, "/seats/hold", {**body, "id": f"{event.id}-{n}"}) for n in range(1, 4)]
    assert [answer.status_code for answer in taken] == [202, 202, 503]
    problem(taken[-1], 503, "queue-full")
    for _ in range(7):
        post(client, "/seats/release", body)
    problem(post(client, "/seats/release", body), 429, "rate-limited")


@pytest.mark.parametrize("scopes", [(), ("seats:read",), ("EVENTS:WRITE",), ("events:*",), ("admin",)])
def test_api5_broken_function_level_authorization(
    secured: testing.TestClient, event: Event, user: str, scopes: tuple[str, ...]
) -> None:
    """Creating events needs its scope, whatever else a token has; no other method does it either."""
    problem(post(secured, "/events/create", NEW, **bearer(user, *scopes)), 403, "scope-missing")
    for action in ACTIONS:
        problem(post(secured, f"/seats/{action}", {"id": f"{event.id}-1"}), 401, "token-missing")
    for method in ("PUT", "PATCH", "DELETE", "GET", "TRACE"):
        tried = secured.simulate_request(method, "/seats/hold", headers=bearer(user, *scopes))
        problem(tried, 405, "method-not-allowed")


def test_api6_unrestricted_access_to_sensitive_business_flows(
    make_client: Callable[..., testing.TestClient], store: Store, buyer: Buyer
) -> None:
    """Whoever hoards seats is bounded: by seats of a user, by a hold's time, and by requests of an address, which
    invented users do not help against."""
    event = store.events.create("Opening night", 40)
    for number in range(1, 7):
        buyer.hold(SeatId(event.id, number))
    with pytest.raises(LimitReached):
        buyer.hold(SeatId(event.id, 7))
    client = make_client(**LIMITS)
    answers = [
        client.simulate_post("/seats/hold", json={"id": f"{event.id}-{number}", "UUID": str(uuid4())})
        for number in range(8, 40)
    ]
    assert [answer.status_code for answer in answers].count(202) == 30
    problem(answers[-1], 429, "rate-limited")


@pytest.mark.parametrize("header", ["jku", "x5u", "kid"])
def test_api7_server_side_request_forgery(secured: testing.TestClient, user: str, header: str) -> None:
    """No address in a request is asked, neither one in a token's head, nor one in a name or a header; but for that of a
    webhook, of which the next test is, test_webhook_api.py and test_posting.py."""
    import jwt

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        token = jwt.encode({"sub": user}, "x" * 32, headers={header: url})
        problem(secured.simulate_get("/events/x", headers={"Authorization": f"Bearer {token}"}), 401, "token-invalid")
        made = post(secured, "/events/create", {**NEW, "name": url}, Referer=url, **bearer(user, "events:write"))
        assert made.status_code == 201
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"])
def test_api7_webhooks_go_to_public_addresses(
    make_client: Callable[..., testing.TestClient], event: Event, user: str, host: str
) -> None:
    """Whoever may make one cannot have this service ask what only this service can reach."""
    client = make_client(webhooks="on", **JWT)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        body = {"url": f"https://{host}:{listener.getsockname()[1]}/"}
        refused = post(client, f"/events/{event.id}/webhooks", body, **bearer(user, "events:write"))
        problem(refused, 422, "invalid-request")
        with pytest.raises(TimeoutError):
            listener.accept()


def test_api8_security_misconfiguration(
    client: testing.TestClient, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production it does not start without tokens; it says nothing about itself, and lets no other page in."""
    with pytest.raises(SettingsError, match="AUTH_MODE"):
        Tokens.of(make_settings(environment="production"))
    # The loggers of this process are the other tests', too.
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    refused = CliRunner().invoke(cli, ["api"], env={"ENVIRONMENT": "production", "AUTH_MODE": "none"})
    assert refused.exit_code == 1
    assert "AUTH_MODE" in refused.output
    assert make_settings(environment="production").counts_requests
    for path in ("/docs", "/problems", "/problems/seat-held", "/events/x", "/nowhere", "/openapi.json", "/health/live"):
        answer = client.simulate_get(path, headers={"Origin": "https://evil.example"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not {"server", "x-powered-by", "access-control-allow-origin", "set-cookie"} & set(answer.headers)
        if answer.headers["content-type"].startswith("text/html"):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    services = Services.connect(make_settings())
    monkeypatch.setattr(services.store.events, "get", lambda _: 1 / 0)
    told = testing.TestClient(create_app(services)).simulate_get("/events/k3v9x2m7qa")
    problem(told, 500, "internal-error")
    assert not [word for word in ("Traceback", "ZeroDivision", ".py", "division") if word in told.text]


def test_api9_improper_inventory_management(services: Services) -> None:
    """All that is served is in the document, or is the document and its pages; and nothing of another version."""
    client = testing.TestClient(create_app(services))
    document: dict[str, Any] = client.simulate_get("/openapi.json").json
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    served = {
        (path, method)
        for path, resource in routes(services)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if hasattr(resource, f"on_{method.lower()}")
    }
    assert served == described
    for path in ("/admin", "/debug", "/v1/events/create", "/.env", "/.git/config", "/server-status"):
        problem(client.simulate_get(path), 404, "unknown-route")


def test_api10_unsafe_consumption_of_apis(tmp_path: Any, make_settings: Callable[..., Settings]) -> None:
    """The only thing of others that it reads is a key set: by file, and checked before it is taken."""
    file = tmp_path / "keys.json"
    for text in ("", "null", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}', "<html>"):
        file.write_text(text)
        with pytest.raises(SettingsError, match="JWT_JWKS_FILE"):
            Tokens.of(make_settings(**{**JWT, "jwt_algorithm": "ES256", "jwt_key": "", "jwt_jwks_file": file}))
