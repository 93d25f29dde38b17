"""Every body that nobody should send gets the answer it should, and leaves nothing behind."""

import json

import pytest
from falcon import testing

from reservation import keys
from reservation.embedded import EmbeddedRedis
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app
from tests.integration.hostile import Case, cases
from tests.web import JSON, problem

CASES = list(cases())


@pytest.fixture(scope="module")
def services(redis_server: EmbeddedRedis) -> Services:
    """Once: there are hundreds of bodies."""
    return Services.connect(Settings(_env_file=None, redis_url=redis_server.url()))  # type: ignore[call-arg]  # pydantic-settings' own


@pytest.fixture(scope="module")
def client(services: Services) -> testing.TestClient:
    return testing.TestClient(create_app(services))


@pytest.fixture
def store(services: Services) -> Store:
    services.store.client.flushall()
    return services.store


def test_there_are_many() -> None:
    """And none twice."""
    assert len({(case.path, case.body, *case.headers.items()) for case in CASES}) == len(CASES) > 400


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.path} {case.name}".encode("unicode_escape").decode())
def test_its_answer(client: testing.TestClient, store: Store, case: Case) -> None:
    """As expected, in a problem if it is refused, and not much longer than the request."""
    answer = client.simulate_post(case.path, body=case.body, headers={**JSON, **case.headers})
    status, slug = case.expected
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.content) < 2_000 + 2 * len(case.body)
    if slug:
        problem(answer, status, slug)
        assert store.client.dbsize() == 0
    else:
        assert (answer.status_code, store.client.zcard(keys.EVENTS)) == (status, 1)


def test_names_are_given_back_as_they_came(client: testing.TestClient) -> None:
    """Nothing in them is escaped, cut or carried out."""
    taken = [case for case in CASES if case.expected[0] == 201]
    assert len(taken) > 25
    for case in taken:
        made = client.simulate_post(case.path, body=case.body, headers={**JSON, **case.headers}).json
        assert client.simulate_get(f"/events/{made['id']}").json["name"] == json.loads(case.body)["name"]
