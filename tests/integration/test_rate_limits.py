"""Rate limits: who is counted, what is refused, and what happens when nothing can be counted."""

import re
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from falcon import testing

from reservation.connections import connect
from reservation.embedded import EmbeddedRedis
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app
from tests.conftest import wait_for
from tests.servers import hanging
from tests.web import JWT, bearer, post, problem

#: Windows so long that none ends while a test runs.
LIMITS: dict[str, object] = {
    "rate_limits": "on",
    "rate_limit_user": "5/day",
    "rate_limit_address": "20/day",
    "rate_limit_events": "2/day",
    "rate_limit_jobs": "3/day",
}
NEW = {"name": "Opening night", "totalSeats": 10}


@pytest.fixture
def limited(make_client: Callable[..., testing.TestClient]) -> testing.TestClient:
    """Nothing was counted before: `store` empties the whole server."""
    return make_client(**LIMITS)


def refused(result: testing.Result, policy: str, quota: int) -> None:
    """The answer says which limit, and when to come again, to people, programs and generated clients."""
    body = problem(result, 429, "rate-limited")
    assert (body["policy"], body["limit"], body["retryable"]) == (policy, quota, True)
    wait_s = int(result.headers["retry-after"])
    assert 1 <= wait_s <= 2 * 86_400
    assert result.headers["ratelimit-policy"] == f'"{policy}";q={quota};w=86400'
    assert re.fullmatch(f'"{policy}";r=0;t={wait_s}', result.headers["ratelimit"])


def test_a_user(limited: testing.TestClient, event: Event, user: str) -> None:
    """Who asks too often is refused, whatever is asked; others are not."""
    body = {"id": f"{event.id}-1", "UUID": user}
    for _ in range(5):
        assert post(limited, "/seats/release", body).status_code == 204
    refused(post(limited, "/seats/release", body), "user", 5)
    refused(post(limited, "/seats/hold", body), "user", 5)
    refused(limited.simulate_get(f"/seats/get/{event.id}-1", headers={"X-User-UUID": user}), "user", 5)
    assert post(limited, "/seats/hold", {**body, "UUID": str(uuid4())}).status_code == 202


def test_an_address(limited: testing.TestClient, event: Event) -> None:
    """Who invents a user for each request is counted by address."""

    def hold(address: str) -> testing.Result:
        body = {"id": f"{event.id}-1", "UUID": str(uuid4())}
        return limited.simulate_post("/seats/release", json=body, remote_addr=address)

    assert [hold("192.0.2.1").status_code for _ in range(20)] == [204] * 20
    refused(hold("192.0.2.1"), "address", 20)
    assert hold("192.0.2.2").status_code == 204


def test_nonsense_is_counted_too(limited: testing.TestClient, event: Event) -> None:
    """And what is not found, not allowed, or only read."""
    for _ in range(4):
        post(limited, "/seats/hold", {})
        limited.simulate_post("/seats/hold", body=b"{")
        limited.simulate_get("/seats/get/nothing")
        limited.simulate_get("/nowhere")
        limited.simulate_delete("/seats/hold")
    refused(limited.simulate_get(f"/events/{event.id}"), "address", 20)
    refused(post(limited, "/seats/hold", {}), "address", 20)
    refused(limited.simulate_get("/docs"), "address", 20)


def test_creating_events_is_limited_more(limited: testing.TestClient) -> None:
    """Each costs as much as ten thousand seats."""
    made = [post(limited, "/events/create", NEW).status_code for _ in range(2)]
    assert made == [201, 201]
    refused(post(limited, "/events/create", NEW), "events", 2)


def test_asking_for_jobs_is_limited_more(limited: testing.TestClient, event: Event, user: str) -> None:
    """By user, else by address."""
    path = post(limited, "/seats/hold", {"id": f"{event.id}-1", "UUID": user}).json["statusEndpoint"]
    for headers in ({"X-User-UUID": user}, {}):
        assert [limited.simulate_get(path, headers=headers).status_code for _ in range(3)] == [200] * 3
        refused(limited.simulate_get(path, headers=headers), "jobs", 3)


def test_health_is_not_limited(limited: testing.TestClient) -> None:
    """A balancer that were refused would take the process for dead."""
    for _ in range(25):
        assert limited.simulate_get("/health/live").status_code == 200
        assert limited.simulate_get("/health/ready").status_code == 200


def test_with_tokens_the_user_is_the_tokens(make_client: Callable[..., testing.TestClient], event: Event) -> None:
    """From any address; and who has a wrong one is counted by address."""
    client = make_client(**JWT, **LIMITS)
    mine = bearer(str(uuid4()))
    for number in range(5):
        body = {"id": f"{event.id}-1"}
        released = client.simulate_post("/seats/release", json=body, headers=mine, remote_addr=f"192.0.2.{number}")
        assert released.status_code == 204
    refused(post(client, "/seats/release", {"id": f"{event.id}-1"}, **mine), "user", 5)
    wrong = bearer(str(uuid4()), exp=1)
    for _ in range(19):
        problem(post(client, "/seats/release", {"id": f"{event.id}-1"}, **wrong), 401, "token-invalid")
    refused(post(client, "/seats/release", {"id": f"{event.id}-1"}, **wrong), "address", 20)


def test_who_is_refused_has_done_nothing(limited: testing.TestClient, event: Event, user: str, store: Store) -> None:
    """Neither is the request counted again, so that waiting as long as is said is enough."""
    body = {"id": f"{event.id}-1", "UUID": user}
    for _ in range(5):
        post(limited, "/seats/release", body)
    before = post(limited, "/seats/hold", body).headers["retry-after"]
    for _ in range(10):
        post(limited, "/seats/hold", body)
    assert int(post(limited, "/seats/hold", body).headers["retry-after"]) <= int(before)
    assert store.client.zcard(f"event:{{{event.id}}}:jobs") == 0


def test_waiting_as_long_as_is_said_is_enough(
    make_client: Callable[..., testing.TestClient], event: Event, user: str
) -> None:
    """The window slides, so `Retry-After` is when the count is below the limit again."""
    client = make_client(**{**LIMITS, "rate_limit_user": "2/second"})
    body = {"id": f"{event.id}-1", "UUID": user}
    while (answer := post(client, "/seats/release", body)).status_code != 429:
        pass
    time.sleep(int(answer.headers["retry-after"]))
    assert post(client, "/seats/release", body).status_code == 204


@pytest.mark.parametrize(("proxies", "own"), [("127.0.0.0/8", True), ("", False)])
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    make_client: Callable[..., testing.TestClient], event: Event, proxies: str, own: bool
) -> None:
    """Otherwise everybody could have as many limits as they can write addresses."""
    client = make_client(**LIMITS, trusted_proxies=proxies)

    def read(address: str) -> int:
        headers = {"X-Forwarded-For": address, "Forwarded": f"for={address}", "X-Real-IP": address}
        return client.simulate_get(f"/events/{event.id}", headers=headers).status_code

    assert [read("192.0.2.1") for _ in range(20)] == [200] * 20
    assert read("192.0.2.1") == 429
    assert read("192.0.2.2") == (200 if own else 429)


def test_off_in_development(client: testing.TestClient, event: Event) -> None:
    """Unless it is switched on."""
    assert [client.simulate_get(f"/events/{event.id}").status_code for _ in range(50)] == [200] * 50
    assert client.simulate_get("/health/ready").json["rateLimits"] == "off"


def test_without_its_counts_everybody_is_served(
    make_settings: Callable[..., Settings], server: EmbeddedRedis, store: Store, event: Event
) -> None:
    """It fails open, says so, and counts again once it can."""
    services = Services.connect(make_settings(**{**LIMITS, "rate_limit_address": "1/day"}, broker_url=server.url()))
    services.queue.guard.start()  # whose server it is that counts
    client = testing.TestClient(create_app(services))

    def read() -> int:
        return client.simulate_get(f"/events/{event.id}").status_code

    def health() -> tuple[str, str, int]:
        ready = client.simulate_get("/health/ready").json
        return ready["status"], ready["rateLimits"], ready["uncounted"]

    try:
        assert [read(), read()] == [200, 429]
        assert health()[1:] == ("up", 0)
        with hanging(server):
            # The first finds out by waiting, the others are not made to.
            assert [read() for _ in range(10)] == [200] * 10
            wait_for(lambda: health() == ("degraded", "down", 10))
        wait_for(lambda: health()[1:] == ("up", 10))
        assert read() == 429
    finally:
        services.queue.guard.stop()
        wait_for(lambda: "guard-broker" not in {thread.name for thread in threading.enumerate()})
        services.queue.backlog._servers.close()


def test_counts_are_forgotten(
    limited: testing.TestClient, make_settings: Callable[..., Settings], event: Event
) -> None:
    """No key stays for longer than two windows."""
    limited.simulate_get(f"/events/{event.id}")
    servers = connect(make_settings(**LIMITS).limits_url, connections=1)
    found = list(servers.client.scan_iter("limits:*"))
    assert found
    assert all(0 < servers.client.ttl(key) <= 2 * 86_400 + 1 for key in found)
    servers.close()
