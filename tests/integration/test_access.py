"""Who may do what where tokens say who asks, and who may be seen."""

from uuid import UUID, uuid4

import pytest
from falcon import testing

from reservation.ids import SeatId
from reservation.models import Event
from tests.conftest import Buyer
from tests.web import ISSUER, bearer, post, problem

ACTIONS = ["hold", "refresh", "release", "reserve"]
NEW = {"name": "Opening night", "totalSeats": 10}


@pytest.mark.parametrize("action", ACTIONS)
def test_who_acts_needs_a_token(secured: testing.TestClient, event: Event, user: str, action: str) -> None:
    """Knowing a UUID is not enough any more."""
    refused = post(secured, f"/seats/{action}", {"id": f"{event.id}-1", "UUID": user})
    problem(refused, 401, "token-missing")
    assert refused.headers["www-authenticate"] == 'Bearer realm="seats"'
    refused = post(secured, f"/seats/{action}", {"id": f"{event.id}-1"}, **bearer(user, exp=1))
    problem(refused, 401, "token-invalid")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_the_token_says_who_acts(secured: testing.TestClient, event: Event, buyer: Buyer, other: str) -> None:
    """The body may leave it out, or repeat it in any case; another is refused."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    mine = bearer(buyer.user)
    for body in ({"id": str(seat)}, {"id": str(seat), "UUID": buyer.user.upper()}):
        assert post(secured, "/seats/refresh", body, **mine).json["UUID"] == buyer.user
    problem(post(secured, "/seats/refresh", {"id": str(seat), "UUID": other}, **mine), 403, "user-mismatch")
    problem(
        post(secured, "/seats/refresh", {"id": str(seat), "UUID": buyer.user}, **bearer(other)), 403, "user-mismatch"
    )
    problem(post(secured, "/seats/refresh", {"id": str(seat)}, **bearer(other)), 403, "not-holder")


def test_a_user_by_any_name(secured: testing.TestClient, event: Event) -> None:
    """A subject that is no UUID becomes one, which the holder is shown."""
    from uuid import NAMESPACE_URL, uuid5

    assert post(secured, "/seats/hold", {"id": f"{event.id}-1"}, **bearer("auth0|alice")).status_code == 202
    expected = str(uuid5(uuid5(NAMESPACE_URL, ISSUER), "auth0|alice"))
    body = {"id": f"{event.id}-2", "UUID": expected}
    assert post(secured, "/seats/hold", body, **bearer("auth0|alice")).status_code == 202
    assert UUID(expected).version == 5


def test_creating_events_needs_a_scope(secured: testing.TestClient, user: str) -> None:
    """`events:write`, and no other."""
    problem(post(secured, "/events/create", NEW), 401, "token-missing")
    refused = post(secured, "/events/create", NEW, **bearer(user, "seats:read", "events", "events:writer"))
    assert problem(refused, 403, "scope-missing")["scope"] == "events:write"
    assert 'error="insufficient_scope", scope="events:write"' in refused.headers["www-authenticate"]
    assert post(secured, "/events/create", NEW, **bearer(user, "seats:read", "events:write")).status_code == 201


def test_who_reads_needs_none(secured: testing.TestClient, event: Event, buyer: Buyer) -> None:
    """What is free is no secret; but a token that is wrong is refused rather than ignored."""
    buyer.hold(SeatId(event.id, 1))
    for path in (f"/events/{event.id}", f"/seats/list/{event.id}", f"/seats/get/{event.id}-1"):
        assert secured.simulate_get(path).status_code == 200
        problem(secured.simulate_get(path, headers=bearer(buyer.user, exp=1)), 401, "token-invalid")
        problem(secured.simulate_get(path, headers={"Authorization": "Basic eDp5"}), 401, "token-invalid")


def test_who_is_shown(secured: testing.TestClient, event: Event, buyer: Buyer, other: str) -> None:
    """Only the holder, or everybody to a token with `seats:read`; a header that says who one is says nothing."""
    seat = f"/seats/get/{event.id}-1"
    buyer.hold(SeatId(event.id, 1))
    queued = post(secured, "/seats/hold", {"id": f"{event.id}-2"}, **bearer(buyer.user))
    job = queued.json["statusEndpoint"]

    def seen(**headers: str) -> set[str]:
        of_job = secured.simulate_get(job, headers=headers).json["data"]["userUUID"]
        return {secured.simulate_get(seat, headers=headers).json["UUID"], of_job}

    assert seen() == seen(**bearer(other)) == seen(**{"X-User-UUID": buyer.user}) == {""}
    assert seen(**bearer(other), **{"X-User-UUID": buyer.user}) == {""}
    assert seen(**bearer(buyer.user)) == {buyer.user}
    assert seen(**bearer(other, "seats:read")) == {buyer.user}


def test_what_is_ones_own_takes_a_token(secured: testing.TestClient, event: Event, buyer: Buyer, other: str) -> None:
    """Which says whose it is: neither a header does, nor is anything of others shown with `seats:read`."""
    path = f"/events/{event.id}/holds"
    buyer.hold(SeatId(event.id, 1))
    problem(secured.simulate_get(path), 401, "token-missing")
    problem(secured.simulate_get(path, headers={"X-User-UUID": buyer.user}), 401, "token-missing")
    problem(secured.simulate_get(path, headers=bearer(buyer.user, exp=1)), 401, "token-invalid")
    rival = {**bearer(other, "seats:read"), "X-User-UUID": buyer.user}
    assert secured.simulate_get(path, headers=rival).json["holds"] == []
    (held,) = secured.simulate_get(path, headers=bearer(buyer.user)).json["holds"]
    assert (held["id"], held["UUID"]) == (f"{event.id}-1", buyer.user)


def test_no_token_no_body(secured: testing.TestClient) -> None:
    """Who is unknown is not told what is wrong with the body."""
    problem(post(secured, "/seats/hold", {"nonsense": 1}), 401, "token-missing")
    problem(secured.simulate_post("/events/create", body=b"{"), 401, "token-missing")


def test_without_tokens_the_body_says_who(client: testing.TestClient, event: Event) -> None:
    """It has to."""
    body = problem(post(client, "/seats/hold", {"id": f"{event.id}-1"}), 422, "invalid-request")
    assert body["errors"] == [{"field": "UUID", "message": "Field required"}]
    problem(post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": ""}), 422, "invalid-request")


def test_a_token_without_tokens_is_ignored(client: testing.TestClient, event: Event) -> None:
    """Where nobody is asked, nobody is believed: it opens nothing."""
    user = str(uuid4())
    assert post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": user}, **bearer(str(uuid4()))).status_code == 202
    shown = client.simulate_get(f"/seats/get/{event.id}-1", headers=bearer(user, "seats:read"))
    assert shown.json["UUID"] == ""


@pytest.mark.parametrize("origins", ["", "https://tickets.example", "*"])
def test_scripts_of_other_origins(make_client: object, event: Event, origins: str) -> None:
    """May read nothing unless it is configured, and then without cookies."""
    client: testing.TestClient = make_client(cors_origins=origins)  # type: ignore[operator]  # see the fixture
    allowed = "access-control-allow-origin"

    def ask(origin: str, path: str = f"/events/{event.id}") -> testing.Result:
        return client.simulate_get(path, headers={"Origin": origin})

    expected = {"": None, "*": "*"}.get(origins, "https://tickets.example")
    assert ask("https://tickets.example").headers.get(allowed) == expected
    assert ask("https://evil.example").headers.get(allowed) == ("*" if origins == "*" else None)
    assert ask("https://tickets.example", "/nowhere").headers.get(allowed) == expected
    preflight = client.simulate_options(
        "/seats/hold",
        headers={
            "Origin": "https://tickets.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
        },
    )
    assert preflight.headers.get(allowed) == expected
    for result in (preflight, ask("https://tickets.example")):
        assert "access-control-allow-credentials" not in result.headers
    if origins:
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
        assert "Location" in ask("https://tickets.example").headers["access-control-expose-headers"]
        assert ("Origin" in ask("https://evil.example").headers.get("vary", "")) == (origins != "*")
