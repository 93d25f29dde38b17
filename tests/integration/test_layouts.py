"""Layouts over HTTP: given or not, kept, and told."""

from typing import Any

from falcon import testing

from reservation import keys
from reservation.store import Store
from tests.web import post, problem

LAYOUT: dict[str, Any] = {
    "sections": [
        {"name": "Stalls", "rows": [{"seats": 6, "count": 2}, {"name": "Box", "seats": 2}]},
        {"name": "Circle", "rank": 2, "rows": [{"seats": 7}]},
    ]
}
NEW: dict[str, Any] = {"name": "Opening night", "layout": LAYOUT}


def row(name: str, first: int, seats: int) -> dict[str, object]:
    return {"name": name, "first": first, "seats": seats}


def test_an_event_is_created_with_a_layout(client: testing.TestClient, store: Store) -> None:
    """It has the layout's seats; where they are is told by itself, and the event's own answer stays as it was."""
    created = post(client, "/events/create", NEW)
    assert created.status_code == 201
    assert set(created.json) == {"id", "name", "totalSeats", "createdAt"}
    assert created.json["totalSeats"] == 21
    event_id = created.json["id"]
    assert store.client.scard(keys.seats(event_id)) == 21
    read = client.simulate_get(f"/events/{event_id}/layout")
    assert (read.status_code, read.json) == (
        200,
        {
            "event": event_id,
            "totalSeats": 21,
            "given": True,
            "sections": [
                {"name": "Stalls", "rank": 1, "rows": [row("A", 1, 6), row("B", 7, 6), row("Box", 13, 2)]},
                {"name": "Circle", "rank": 2, "rows": [row("A", 15, 7)]},
            ],
        },
    )


def test_an_event_without_one_has_rows_too(client: testing.TestClient) -> None:
    """By the service's rule, of which nothing is kept."""
    event_id = post(client, "/events/create", {"name": "Opening night", "totalSeats": 11}).json["id"]
    read = client.simulate_get(f"/events/{event_id}/layout").json
    assert (read["given"], read["totalSeats"]) == (False, 11)
    assert read["sections"] == [{"name": "Stalls", "rank": 1, "rows": [row("A", 1, 6), row("B", 7, 5)]}]


def test_a_layout_may_be_kept(client: testing.TestClient, store: Store) -> None:
    """It never changes: 304 for whoever has it."""
    event_id = post(client, "/events/create", NEW).json["id"]
    path = f"/events/{event_id}/layout"
    read = client.simulate_get(path)
    etag = read.headers["etag"]
    assert read.headers["cache-control"] == "public, max-age=3600"
    for known in (etag, f'"other", {etag}', "*"):
        same = client.simulate_get(path, headers={"If-None-Match": known})
        assert (same.status_code, same.text, same.headers["etag"]) == (304, "", etag)
    assert client.simulate_get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_there_is_no_layout_of_no_event(client: testing.TestClient) -> None:
    """Nor of what is no id."""
    for event_id in ("k3v9x2m7qa", "x"):
        problem(client.simulate_get(f"/events/{event_id}/layout"), 404, "not-found")


def test_a_layout_that_cannot_be_is_refused(client: testing.TestClient) -> None:
    """With what is wrong about it."""
    refused = problem(post(client, "/events/create", {**NEW, "totalSeats": 20}), 422, "invalid-request")
    assert refused["errors"] == [{"field": "totalSeats", "message": "must be as many as the layout has, 21"}]
    refused = problem(post(client, "/events/create", {"name": "Opening night"}), 422, "invalid-request")
    assert refused["errors"] == [{"field": "totalSeats", "message": "Field required"}]


def test_a_layout_is_part_of_the_request(client: testing.TestClient) -> None:
    """The same key with another one is another request; sent again, it makes no other event."""
    key = {"Idempotency-Key": "one"}
    created = post(client, "/events/create", NEW, **key)
    again = post(client, "/events/create", NEW, **key)
    assert (again.status_code, again.json) == (201, created.json)
    other: dict[str, Any] = {"sections": [{"name": "Stalls", "rows": [{"seats": 21}]}]}
    problem(post(client, "/events/create", {**NEW, "layout": other}, **key), 422, "idempotency-key-reused")
