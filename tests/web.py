"""Speaking to the API in this process."""

import json
from typing import Any

from falcon import testing

from reservation_http.problems import KINDS

JSON = {"Content-Type": "application/json"}


def post(client: testing.TestClient, path: str, body: object, **headers: str) -> testing.Result:
    """Sends a body as JSON."""
    return client.simulate_post(path, body=json.dumps(body).encode(), headers={**JSON, **headers})


def problem(result: testing.Result, status: int, slug: str) -> dict[str, Any]:
    """The answer as a problem of this kind."""
    assert (result.status_code, result.headers["content-type"]) == (status, "application/problem+json"), result.text
    body: dict[str, Any] = result.json
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status == KINDS[slug].status
    assert body["title"] == KINDS[slug].title
    return body
