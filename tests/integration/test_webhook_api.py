"""Webhooks over HTTP: who may see to them, what they may be, and what is shown of them."""

import base64
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import falcon
import pytest
from falcon import testing

from reservation import keys
from reservation.ids import SeatId
from reservation.models import Event
from reservation.store import Store
from reservation.webhooks import MOST_WEBHOOKS, TYPES, Outcome
from reservation_http.app import Services
from reservation_http.middleware import RequestLog
from reservation_http.problems import handle_errors
from reservation_http.resources.webhooks import EventWebhooks
from tests.conftest import Buyer
from tests.web import JWT, bearer, post, problem

Make = Callable[..., testing.TestClient]
#: An address of the public internet, to which nothing is sent here.
URL = "https://93.184.215.14/hooks"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@pytest.fixture
def hooked(make_client: Make) -> testing.TestClient:
    """The application, with webhooks."""
    return make_client(webhooks="on")


def _path(event: Event, *more: str) -> str:
    return "/".join([f"/events/{event.id}/webhooks", *more])


def _make(client: testing.TestClient, event: Event, **body: object) -> dict[str, Any]:
    made = post(client, _path(event), {"url": URL, **body})
    assert made.status_code == 201, made.text
    hook: dict[str, Any] = made.json
    return hook


def _delivered(store: Store, event: Event, outcome: Outcome) -> list[str]:
    """What has happened, sent with this outcome: the messages' ids."""
    claimed = store.webhooks.follow([event.id])[event.id].claimed
    for delivery in claimed:
        attempt = store.webhooks.begin(event.id, delivery)
        assert attempt is not None
        store.webhooks.end(event.id, attempt, outcome)
    return [str(delivery) for delivery in claimed]


def test_a_webhook_is_made(hooked: testing.TestClient, event: Event) -> None:
    """With a secret that is shown once, of all types unless some are named."""
    made = post(hooked, _path(event), {"url": "https://93.184.215.14"})
    assert made.status_code == 201
    assert made.headers["location"] == _path(event, made.json["id"])
    assert made.headers["cache-control"] == "no-store"
    assert made.json["url"] == "https://93.184.215.14/"
    assert made.json["types"] == list(TYPES)
    assert len(base64.b64decode(made.json["secret"].removeprefix("whsec_"), validate=True)) == 32
    shown = {name: value for name, value in made.json.items() if name != "secret"}
    assert hooked.simulate_get(made.headers["location"]).json == shown
    assert hooked.simulate_get(_path(event)).json == {"webhooks": [shown]}
    chosen = _make(hooked, event, types=["job.failed"], secret=SECRET)
    assert (chosen["types"], chosen["secret"]) == (["job.failed"], SECRET)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://93.184.215.14/",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://[::1]/",
            "https://10.0.0.1:8443/",
        ),
        *("https://169.254.169.254/latest/meta-data/", "https://user:pass@93.184.215.14/", "https://2130706433/"),
        *("https://nowhere.invalid/", "//93.184.215.14/", "javascript:alert(1)", "", "x" * 3_000),
        *("https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://93.184.215.14/#x"),
    ],
)
def test_a_url_that_nothing_may_be_sent_to(hooked: testing.TestClient, event: Event, url: str) -> None:
    """Is refused at once, and why is said."""
    refused = problem(post(hooked, _path(event), {"url": url}), 422, "invalid-request")
    assert [error["field"] for error in refused["errors"]] == ["url"]
    assert hooked.simulate_get(_path(event)).json == {"webhooks": []}


def test_in_development_it_may_be_here(make_client: Make, event: Event) -> None:
    """Where that is set."""
    client = make_client(webhooks="on", webhook_allow_private="on")
    assert post(client, _path(event), {"url": "http://127.0.0.1:8000/hooks"}).status_code == 201


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("types", []),
        ("types", ["seat.held"]),
        ("types", ["job.failed", "job.failed"]),
        ("types", "job.failed"),
        ("types", None),
        ("secret", None),
        ("secret", ""),
        ("secret", "secret"),
        ("secret", "whsec_"),
        ("secret", "whsec_" + base64.b64encode(b"s" * 23).decode()),
        ("secret", "whsec_" + base64.b64encode(b"s" * 65).decode()),
        ("secret", "whsec_!!!!" + base64.b64encode(b"s" * 32).decode()),
        ("enabled", True),
        ("id", "wh_aaaaaaaaaa"),
    ],
)
def test_what_a_webhook_cannot_be(hooked: testing.TestClient, event: Event, member: str, value: object) -> None:
    """Each member by its rules, and no other."""
    refused = problem(post(hooked, _path(event), {"url": URL, member: value}), 422, "invalid-request")
    assert refused["errors"][0]["field"].partition(".")[0] == member


def test_who_may_see_to_them(make_client: Make, event: Event, user: str) -> None:
    """Whoever may create events; nobody else, not even to look: a URL may have a secret in it."""
    client = make_client(webhooks="on", **JWT)
    organizer, buyer = bearer(user, "events:write"), bearer(str(uuid4()), "seats:read", "ops:read")
    hook = post(client, _path(event), {"url": URL}, **organizer).json["id"]
    delivery = f"{hook}-1767225600000-0"
    calls: list[tuple[str, str, object]] = [
        ("POST", _path(event), {"url": URL}),
        ("GET", _path(event), None),
        ("GET", _path(event, hook), None),
        ("PATCH", _path(event, hook), {"enabled": False}),
        ("GET", _path(event, hook, "deliveries"), None),
        ("POST", _path(event, hook, "deliveries", delivery, "replay"), None),
        ("DELETE", _path(event, hook), None),
    ]
    for method, path, body in calls:
        problem(client.simulate_request(method, path, json=body), 401, "token-missing")
        refused = client.simulate_request(method, path, json=body, headers=buyer)
        assert problem(refused, 403, "scope-missing")["scope"] == "events:write"
    answers = [client.simulate_request(method, path, json=body, headers=organizer) for method, path, body in calls]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 404, 204]


def test_where_there_are_none(client: testing.TestClient, event: Event) -> None:
    """It says so, whatever is asked."""
    hook = "wh_aaaaaaaaaa"
    for method, path, body in (
        ("POST", _path(event), {"url": URL}),
        ("GET", _path(event), None),
        ("GET", _path(event, hook), None),
        ("PATCH", _path(event, hook), {"enabled": True}),
        ("DELETE", _path(event, hook), None),
        ("GET", _path(event, hook, "deliveries"), None),
        ("POST", _path(event, hook, "deliveries", f"{hook}-1767225600000-0", "replay"), None),
    ):
        problem(client.simulate_request(method, path, json=body), 409, "webhooks-off")


@pytest.mark.parametrize(("method", "more"), [("GET", ""), ("POST", ""), ("GET", "/wh_aaaaaaaaaa")])
def test_without_its_state(make_client: Make, method: str, more: str) -> None:
    """503, as everywhere."""
    client = make_client(webhooks="on", redis_url="unix:///nonexistent/redis.sock")
    body = {"url": URL} if method == "POST" else None
    problem(client.simulate_request(method, f"/events/k3v9x2m7qa/webhooks{more}", json=body), 503, "state-unavailable")


def test_what_is_not_there(hooked: testing.TestClient, store: Store, event: Event) -> None:
    """No event, no webhook, no message; another event's webhook, and another webhook's message."""
    mine, other = _make(hooked, event)["id"], store.events.create("Matinee", 10)
    for path in (
        _path(event, "wh_aaaaaaaaaa"),
        _path(event, "nothing"),
        _path(event, mine.upper()),
        _path(other, mine),
        "/events/aaaaaaaaaa/webhooks",
        "/events/x/webhooks",
        _path(event, "wh_aaaaaaaaaa", "deliveries"),
    ):
        problem(hooked.simulate_get(path), 404, "not-found")
    problem(post(hooked, "/events/aaaaaaaaaa/webhooks", {"url": URL}), 404, "not-found")
    problem(hooked.simulate_delete(_path(other, mine)), 404, "not-found")
    problem(hooked.simulate_patch(_path(event, "wh_aaaaaaaaaa"), json={"enabled": True}), 404, "not-found")
    for delivery in (f"{mine}-1767225600000-0", "wh_aaaaaaaaaa-1767225600000-0", "x", f"{mine}-1767225600000-0:x"):
        problem(hooked.simulate_post(_path(event, mine, "deliveries", delivery, "replay")), 404, "not-found")


def test_so_many_at_most(hooked: testing.TestClient, event: Event) -> None:
    """And there is room again once one is removed."""
    hooks = [_make(hooked, event)["id"] for _ in range(MOST_WEBHOOKS)]
    refused = problem(post(hooked, _path(event), {"url": URL}), 409, "webhook-limit")
    assert refused["limit"] == MOST_WEBHOOKS
    assert hooked.simulate_delete(_path(event, hooks[0])).status_code == 204
    _make(hooked, event)
    assert len(hooked.simulate_get(_path(event)).json["webhooks"]) == MOST_WEBHOOKS


def test_a_webhook_is_made_once_with_a_key(hooked: testing.TestClient, event: Event) -> None:
    """And the secret is in the answer that comes again."""
    key = {"Idempotency-Key": "k-1"}
    first, second = (post(hooked, _path(event), {"url": URL}, **key) for _ in range(2))
    assert first.json == second.json
    assert second.headers["idempotency-replayed"] == "true"
    assert len(hooked.simulate_get(_path(event)).json["webhooks"]) == 1
    problem(post(hooked, _path(event), {"url": URL + "2"}, **key), 422, "idempotency-key-reused")


def test_on_and_off(hooked: testing.TestClient, event: Event) -> None:
    """As often as one likes."""
    hook = _make(hooked, event)["id"]
    for _ in range(2):
        off = hooked.simulate_patch(_path(event, hook), json={"enabled": False}).json
        assert (off["enabled"], off["disabled"]) == (False, "by-request")
        on = hooked.simulate_patch(_path(event, hook), json={"enabled": True}).json
        assert on["enabled"] is True
        assert "disabled" not in on
    problem(hooked.simulate_patch(_path(event, hook), json={"enabled": 1}), 422, "invalid-request")
    problem(hooked.simulate_patch(_path(event, hook), json={}), 422, "invalid-request")


def test_the_log_and_sending_again(hooked: testing.TestClient, store: Store, event: Event, buyer: Buyer) -> None:
    """Each message with what came of it; asked for again, the same one is sent."""
    hook = _make(hooked, event, types=["seat.released"])["id"]
    for number in (1, 2, 3):
        buyer.hold(SeatId(event.id, number))
        store.seats.release(SeatId(event.id, number), buyer.user)
    log = _path(event, hook, "deliveries")
    ids = _delivered(store, event, Outcome(500))
    page = hooked.simulate_get(log, params={"limit": 2}).json
    assert [one["id"] for one in page["deliveries"]] == ids[:0:-1]
    shown = page["deliveries"][0]
    assert (shown["type"], shown["status"], shown["attempts"], shown["statusCode"]) == (
        "seat.released",
        "failed",
        1,
        500,
    )
    assert "nextAttemptAt" not in shown
    rest = hooked.simulate_get(log, params={"limit": 2, "cursor": page["nextCursor"]}).json
    assert [one["id"] for one in rest["deliveries"]] == ids[:1]
    assert "nextCursor" not in rest
    again = hooked.simulate_post(f"{log}/{ids[0]}/replay")
    assert (again.status_code, again.json["status"], again.json["id"]) == (202, "pending", ids[0])
    assert again.json["nextAttemptAt"] > 0
    pending = hooked.simulate_get(log, params={"status": "pending"}).json["deliveries"]
    assert [one["id"] for one in pending] == ids[:1]
    assert _delivered(store, event, Outcome(204)) == ids[:1]
    (done,) = hooked.simulate_get(log, params={"status": "delivered"}).json["deliveries"]
    assert (done["attempts"], done["statusCode"]) == (2, 204)
    for query in ("limit=0", "limit=101", "limit=x", "status=lost", "cursor=x", f"cursor={hook}"):
        problem(hooked.simulate_get(log, query_string=query), 422, "invalid-request")
    problem(hooked.simulate_get(log, params={"cursor": f"{hook}-1767225600000-0"}), 404, "not-found")


def test_no_secret_is_shown_again(hooked: testing.TestClient, store: Store, event: Event, buyer: Buyer) -> None:
    """Nor the user, in whatever is asked about a webhook."""
    made = _make(hooked, event)
    hook = made["id"]
    buyer.hold(SeatId(event.id, 1))
    store.seats.release(SeatId(event.id, 1), buyer.user)
    (delivery,) = _delivered(store, event, Outcome(500))
    told = [
        hooked.simulate_get(_path(event)),
        hooked.simulate_get(_path(event, hook)),
        hooked.simulate_patch(_path(event, hook), json={"enabled": False}),
        hooked.simulate_get(_path(event, hook, "deliveries")),
        hooked.simulate_post(_path(event, hook, "deliveries", delivery, "replay")),
    ]
    for answer in told:
        assert answer.status_code in (200, 202)
        assert made["secret"] not in answer.text
        assert buyer.user not in answer.text


def test_a_name_that_leads_to_a_private_address(services: Services, store: Store, event: Event) -> None:
    """Is refused when it is registered, though its name says nothing; one that leads there later, when it is asked
    (test_posting.py)."""
    addresses: list[str] = ["93.184.215.14"]
    app = falcon.App(middleware=[RequestLog()])
    handle_errors(app, services.access.visit)
    resource = EventWebhooks(store.webhooks, services.access, allow_private=False, resolve=lambda *_: addresses)
    app.add_route("/events/{event_id}/webhooks", resource)
    client, body = testing.TestClient(app), {"url": "https://hooks.example/"}
    assert post(client, _path(event), body).status_code == 201
    addresses.append("192.168.0.7")
    refused = problem(post(client, _path(event), body), 422, "invalid-request")
    assert refused["errors"] == [{"field": "url", "message": "leads to an address that is not public"}]


def test_health_says_whether_any_is_sent(hooked: testing.TestClient, client: testing.TestClient, store: Store) -> None:
    """Where there are webhooks, and only there."""
    store.fleet.beat(keys.WORKERS, "a worker")
    store.fleet.beat(keys.SWEEPERS, "a sweeper")
    ready = hooked.simulate_get("/health/ready").json
    assert (ready["status"], ready["webhooks"]) == ("degraded", 0)
    store.fleet.beat(keys.SENDERS, "a sender")
    ready = hooked.simulate_get("/health/ready").json
    assert (ready["status"], ready["webhooks"]) == ("ready", 1)
    assert "webhooks" not in client.simulate_get("/health/ready").json
