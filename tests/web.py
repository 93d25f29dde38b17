"""Speaking to the API in this process."""

import json
import time
from typing import Any

import jwt
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


#: Settings of a service that tokens tell who asks, and one such token for each user.
KEY, AUDIENCE, ISSUER = "k" * 32, "seats", "https://id.example"
JWT: dict[str, object] = {
    "auth_mode": "jwt",
    "jwt_algorithm": "HS256",
    "jwt_key": KEY,
    "jwt_audience": AUDIENCE,
    "jwt_issuer": ISSUER,
}


def bearer(user: str, *scopes: str, **claims: object) -> dict[str, str]:
    """The header with which a user asks, one of whom the token says what it shall."""
    all_claims = {"sub": user, "aud": AUDIENCE, "iss": ISSUER, "exp": time.time() + 60, "scope": " ".join(scopes)}
    return {"Authorization": "Bearer " + jwt.encode({**all_claims, **claims}, KEY, algorithm="HS256")}
