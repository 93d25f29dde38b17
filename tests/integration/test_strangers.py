"""A stranger, who knows an event and may guess the rest, neither sees who holds a seat nor does anything to it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import structlog
from falcon import testing

from reservation import logs
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app
from tests.conftest import Buyer, changes, wait_for, working
from tests.web import JWT, bearer, post, problem

ACTIONS = ["refresh", "release", "reserve"]


def spellings(user: str) -> set[str]:
    digits = user.replace("-", "")
    return {user, user.upper(), digits, digits.upper()}


def knows(text: str, user: str) -> bool:
    """Whether a text gives a user away."""
    return any(spelling in text for spelling in spellings(user))


def told(result: testing.Result) -> str:
    """All that an answer says."""
    return f"{result.headers} {result.text}"


def guesses(event: Event, user: str) -> Iterator[str]:
    """Ways to write a seat's holder that a careless comparison could take for the right one."""
    yield from (str(uuid4()), "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
    yield user[:-1] + ("0" if user[-1] != "0" else "1")
    yield from ("", " ", "*", "null", "undefined", f"{user} ", f" {user}", user.replace("-", ""), "{" + user + "}")
    yield from (f"urn:uuid:{user}", f"{user}\0", f"{user}\n", user[:-1], user + "0", f"{user},{uuid4()}")


@pytest.fixture
def _logged(make_settings: Callable[..., Settings]) -> Iterator[None]:
    """As in production."""
    before = structlog.get_config()
    logs.configure(make_settings(log_format="json"), "test")
    yield
    structlog.configure(**before)


@contextmanager
def _served(
    make_settings: Callable[..., Settings], values: dict[str, object]
) -> Iterator[tuple[testing.TestClient, Services]]:
    services = Services.connect(make_settings(**values))
    with working(services.store, services.queue):
        yield testing.TestClient(create_app(services)), services


@pytest.mark.usefixtures("_logged")
@pytest.mark.parametrize("values", [{}, JWT], ids=["none", "jwt"])
def test_nowhere_is_a_holder_seen(
    make_settings: Callable[..., Settings],
    store: Store,
    event: Event,
    values: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In no answer to anybody else, no log, no change stream and no job of somebody else, whatever the holder does,
    mistakes included."""
    user, rival = str(uuid4()), str(uuid4())
    seen: list[str] = []

    def as_(who: str) -> dict[str, str]:
        return bearer(who) if values else {"X-User-UUID": who}

    with _served(make_settings, values) as (client, _):

        def ask(who: str, action: str, number: int, **headers: str) -> testing.Result:
            answer = post(
                client, f"/seats/{action}", {"id": f"{event.id}-{number}", "UUID": who}, **as_(who), **headers
            )
            if answer.status_code == 202:
                path = answer.json["statusEndpoint"]
                wait_for(lambda: client.simulate_get(path, headers=as_(who)).json["status"] == "completed")
                assert client.simulate_get(path, headers=as_(who)).json["data"]["userUUID"] == who
                seen.append(told(client.simulate_get(path)))
                seen.append(told(client.simulate_get(path, headers=as_(rival if who == user else user))))
            return answer

        # Who names the own requests by the own UUID is not given away by that either.
        assert ask(user, "hold", 1, **{"X-Request-ID": user}).status_code == 202
        assert ask(user, "hold", 2, **{"X-Request-ID": f"req-{user.replace('-', '')}"}).status_code == 202
        assert ask(user, "refresh", 1, **{"X-Request-ID": user.upper()}).status_code == 200
        assert ask(user, "reserve", 1, **{"Idempotency-Key": user}).status_code == 202
        assert ask(user, "release", 1).status_code == 409
        assert ask(rival, "hold", 2).status_code == 409
        assert ask(rival, "hold", 3).status_code == 202
        for path in (f"/{user}", f"/seats/get/{user}", f"/seats/job/{event.id}-{user}/status", f"/events/{user}"):
            assert client.simulate_get(path, headers=as_(user)).status_code == 404
        assert post(client, "/seats/hold", {"id": user, "UUID": user}, **as_(user)).status_code == 422
        assert post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": f"{user}!"}, **as_(user)).status_code == 422
        assert post(client, "/seats/hold", {user: user}, **as_(user)).status_code == 422
        named = {**as_(user), "X-Request-ID": user}
        assert post(client, "/seats/hold", {"id": "bad", "UUID": user}, **named).status_code == 422
        assert client.simulate_get("/seats/get/nothing", headers=named).status_code == 404
        if values:
            mismatch = post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": rival}, **named)
            problem(mismatch, 403, "user-mismatch")

        for number in (1, 2, 3):
            shown = f"/seats/get/{event.id}-{number}", f"/events/{event.id}/holds"
            for path in (*shown, f"/seats/list/{event.id}", f"/events/{event.id}"):
                others: list[dict[str, str]] = [{}, as_(rival), {"X-User-UUID": "00000000-0000-0000-0000-000000000000"}]
                seen += [told(client.simulate_get(path, headers=headers)) for headers in others]
        seen += [told(client.simulate_get(path)) for path in ("/health/ready", "/openapi.json", "/problems")]
        assert client.simulate_get(f"/seats/get/{event.id}-1", headers=as_(user)).json["UUID"] == user
    logged = capsys.readouterr()
    assert logged.out.count("request") > 20
    stream = json.dumps(changes(store, event.id))
    assert stream.count("cause") >= 4
    for text in (*seen, logged.out + logged.err, stream):
        assert not knows(text, user)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_guessed_user_does_nothing(client: testing.TestClient, event: Event, buyer: Buyer, action: str) -> None:
    """Nor one that is nearly right."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    before = buyer.store.seats.get(seat)
    for guess in guesses(event, buyer.user):
        refused = post(client, f"/seats/{action}", {"id": str(seat), "UUID": guess})
        assert refused.status_code in (403, 422), guess
        assert not knows(told(refused), buyer.user) or knows(guess, buyer.user)
    after = buyer.store.seats.get(seat)
    assert (after.user, after.expires_at, after.reserving_until) == (before.user, before.expires_at, None)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_strangers_token_does_nothing(secured: testing.TestClient, event: Event, buyer: Buyer, action: str) -> None:
    """Neither with the holder's UUID in the body, nor in a header, nor as a subject that becomes it."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    before = buyer.store.seats.get(seat)
    mine = bearer(str(uuid4()), "events:write", "seats:read")
    problem(post(secured, f"/seats/{action}", {"id": str(seat)}, **mine), 403, "not-holder")
    headers = {**mine, "X-User-UUID": buyer.user}
    problem(post(secured, f"/seats/{action}", {"id": str(seat)}, **headers), 403, "not-holder")
    problem(post(secured, f"/seats/{action}", {"id": str(seat), "UUID": buyer.user}, **mine), 403, "user-mismatch")
    problem(post(secured, f"/seats/{action}", {"id": str(seat), "UUID": buyer.user}), 401, "token-missing")
    near = (f"urn:uuid:{buyer.user}", buyer.user.replace("-", ""), f"{buyer.user} ", "{" + buyer.user + "}")
    for subject in near:
        problem(post(secured, f"/seats/{action}", {"id": str(seat)}, **bearer(subject)), 403, "not-holder")
    after = buyer.store.seats.get(seat)
    assert (after.user, after.expires_at, after.reserving_until) == (before.user, before.expires_at, None)


def test_a_guessed_job_tells_nothing(client: testing.TestClient, event: Event, user: str, store: Store) -> None:
    """Its id cannot be guessed; who has it still does not see whose it is."""
    queued = post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": user})
    job_id = queued.json["jobId"]
    for guess in {JobId.new(event.id) for _ in range(50)}:
        problem(client.simulate_get(f"/seats/job/{guess}/status"), 404, "not-found")
    for near in (job_id[:-1] + "!", job_id.upper(), job_id + "a", job_id[:-1], job_id + "%00", "*", f"{event.id}-*"):
        problem(client.simulate_get(f"/seats/job/{near}/status"), 404, "not-found")
    shown = client.simulate_get(f"/seats/job/{job_id}/status", headers={"X-User-UUID": str(uuid4())})
    assert shown.json["data"] == {"seatId": f"{event.id}-1", "seatIds": [f"{event.id}-1"], "userUUID": ""}


def test_a_strangers_key_does_not_bring_back_anothers_answer(
    client: testing.TestClient, secured: testing.TestClient, event: Event, buyer: Buyer
) -> None:
    """An Idempotency-Key that somebody overheard is another key when they send it."""
    key = {"Idempotency-Key": "overheard"}
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    mine: dict[str, Any] = post(client, "/seats/refresh", {"id": str(seat), "UUID": buyer.user}, **key).json
    assert mine["UUID"] == buyer.user
    stranger = str(uuid4())
    problem(post(client, "/seats/refresh", {"id": str(seat), "UUID": stranger}, **key), 403, "not-holder")
    assert post(secured, "/seats/refresh", {"id": str(seat)}, **bearer(buyer.user), **key).status_code == 200
    problem(post(secured, "/seats/refresh", {"id": str(seat)}, **bearer(stranger), **key), 403, "not-holder")


def test_the_actor_in_the_change_stream_depends_on_a_secret(
    make_settings: Callable[..., Settings], event: Event, store: Store, user: str
) -> None:
    """With AUDIT_KEY, who knows a UUID cannot find it there either."""
    actors = set()
    for key in ("one", "two"):
        own = Store.connect(make_settings(audit_key=key), connections=2)
        Buyer(own, user).hold(SeatId(event.id, len(key) if key == "one" else 4))
        actors.add(changes(store, event.id)[-1]["actor"])
    assert len(actors) == 2
