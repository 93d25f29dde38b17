"""Where the API says that the live feed is."""

from collections.abc import Callable

import pytest
from falcon import testing

from reservation.models import Event
from tests.web import problem


@pytest.mark.parametrize("kind", ["stream?since=3", "changes?since=3&wait=20"])
@pytest.mark.parametrize(
    ("values", "asked", "base"),
    [
        ({"port": 3000}, "localhost:3000", "http://localhost:3001"),
        ({"port": 3000}, "[::1]:3000", "http://[::1]:3001"),
        ({"port": 65535}, "127.0.0.1:65535", "http://127.0.0.1:65534"),
        ({"stream_port": 4000}, "tickets.example", "http://tickets.example:4000"),
        ({"stream_url": "https://live.tickets.example"}, "localhost:3000", "https://live.tickets.example"),
        # Nobody is led where a header with something else in it says.
        ({"port": 3000}, "evil.example/x?", "http://127.0.0.1:3001"),
        ({"port": 3000}, "a b", "http://127.0.0.1:3001"),
    ],
)
def test_clients_are_led_to_it(
    make_client: Callable[..., testing.TestClient],
    event: Event,
    kind: str,
    values: dict[str, object],
    asked: str,
    base: str,
) -> None:
    """At the host that they asked, or where it is set to be; with all that they asked for."""
    client = make_client(**values)
    answer = client.simulate_get(f"/events/{event.id}/{kind}", headers={"Host": asked})
    assert (answer.status_code, answer.headers["location"]) == (307, f"{base}/events/{event.id}/{kind}")


def test_nobody_is_led_in_a_circle(make_client: Callable[..., testing.TestClient], event: Event) -> None:
    """Where something in front should have led to the feed at the API's own address, and did not."""
    client = make_client(stream_url="/")
    problem(client.simulate_get(f"/events/{event.id}/stream"), 404, "not-found")


@pytest.mark.parametrize("query", ["stream?since=x", "changes?since=0&wait=31"])
def test_a_question_that_cannot_be_is_refused_here(client: testing.TestClient, event: Event, query: str) -> None:
    """As it would be there."""
    problem(client.simulate_get(f"/events/{event.id}/{query}"), 422, "invalid-request")


def test_an_id_that_cannot_be_leads_nowhere(client: testing.TestClient) -> None:
    """It is told here that there is nothing."""
    problem(client.simulate_get("/events/K3V9!/stream"), 404, "not-found")
