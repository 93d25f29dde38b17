"""Idempotency keys: a request that is sent again is answered as the first time, and done once."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from falcon import testing

from reservation import events, keys
from reservation.errors import KeyInUse, StateUnavailable
from reservation.events import Events
from reservation.idempotency import Once
from reservation.ids import SeatId
from reservation.models import Event
from reservation.scripts import Scripts
from reservation.store import Store
from tests.conftest import Buyer, expiry_ms, wait_for
from tests.integration.conftest import is_consistent
from tests.web import bearer, post, problem

KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
NEW = {"name": "Opening night", "totalSeats": 10}


def replayed(result: testing.Result) -> bool:
    return result.headers.get("idempotency-replayed") == "true"


def again(client: testing.TestClient, path: str, body: object, **headers: str) -> testing.Result:
    """Sends a request twice: the second answer is the first."""
    first = post(client, path, body, **KEY, **headers)
    second = post(client, path, body, **KEY, **headers)
    assert (second.status_code, second.text) == (first.status_code, first.text)
    assert (replayed(first), replayed(second)) == (False, True)
    assert second.headers.get("location") == first.headers.get("location")
    return second


def test_an_event_is_created_once(client: testing.TestClient, store: Store) -> None:
    """The second answer is the first one's event."""
    assert again(client, "/events/create", NEW).status_code == 201
    assert store.client.zcard(keys.EVENTS) == 1
    assert post(client, "/events/create", NEW).status_code == 201
    assert store.client.zcard(keys.EVENTS) == 2


def test_a_hold_is_one_job(client: testing.TestClient, store: Store, event: Event, user: str) -> None:
    """Of many requests that come at the same time, and of one that comes later."""
    body = {"id": f"{event.id}-1", "UUID": user}
    answers: list[testing.Result] = []
    threads = [
        threading.Thread(target=lambda: answers.append(post(client, "/seats/hold", body, **KEY))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["jobId"] for answer in answers}) == 1
    assert sorted(map(replayed, answers)) == [False] + [True] * 11
    assert store.client.zcard(keys.jobs(event.id)) == 1


def test_a_reservation_that_has_ended_is_still_the_same_job(
    client: testing.TestClient, event: Event, buyer: Buyer
) -> None:
    """Its first answer, not a second reservation of a seat that is reserved."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    body = {"id": str(seat), "UUID": buyer.user}
    first = post(client, "/seats/reserve", body, **KEY)
    buyer.reserve(seat)
    second = post(client, "/seats/reserve", body, **KEY)
    assert (second.status_code, second.json) == (202, first.json)


def test_a_refresh_is_done_once(client: testing.TestClient, event: Event, buyer: Buyer) -> None:
    """The hold does not run longer for the second request."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    answer = again(client, "/seats/refresh", {"id": str(seat), "UUID": buyer.user})
    assert answer.json["expiresAt"] == buyer.store.seats.get(seat).expires_at


def test_a_release_that_is_sent_again_takes_nothing_from_anybody(
    client: testing.TestClient, event: Event, buyer: Buyer, rival: Buyer
) -> None:
    """Somebody else may have the seat by then."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    body = {"id": str(seat), "UUID": buyer.user}
    assert post(client, "/seats/release", body, **KEY).status_code == 204
    rival.hold(seat)
    second = post(client, "/seats/release", body, **KEY)
    assert (second.status_code, replayed(second)) == (204, True)
    assert buyer.store.seats.get(seat).user == rival.user
    problem(post(client, "/seats/release", body), 403, "not-holder")


def test_a_refusal_is_an_answer_too(client: testing.TestClient, event: Event, buyer: Buyer, user: str) -> None:
    """What was refused is refused again, though it could be done by now; a new key asks anew."""
    other = str(uuid4())
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    body = {"id": str(seat), "UUID": other}
    problem(post(client, "/seats/hold", body, **KEY), 409, "seat-held")
    buyer.store.seats.release(seat, buyer.user)
    second = post(client, "/seats/hold", body, **KEY)
    problem(second, 409, "seat-held")
    assert replayed(second)
    assert post(client, "/seats/hold", body, **{"Idempotency-Key": "another"}).status_code == 202


def test_what_passes_by_itself_is_not_remembered(
    make_client: Callable[..., testing.TestClient], event: Event, user: str
) -> None:
    """A full queue: the same request may succeed later."""
    client = make_client(max_open_jobs=1)
    assert post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": user}).status_code == 202
    body = {"id": f"{event.id}-2", "UUID": str(uuid4())}
    problem(post(client, "/seats/hold", body, **KEY), 503, "queue-full")
    assert post(make_client(), "/seats/hold", body, **KEY).status_code == 202


@pytest.mark.parametrize("action", ["hold", "refresh", "release", "reserve"])
def test_another_request_with_the_same_key(client: testing.TestClient, event: Event, buyer: Buyer, action: str) -> None:
    """422, and nothing is done. What is spelled otherwise is the same request."""
    buyer.hold(SeatId(event.id, 1))
    buyer.hold(SeatId(event.id, 2))
    body = {"id": f"{event.id}-1", "UUID": buyer.user}
    first = post(client, f"/seats/{action}", body, **KEY)
    assert first.status_code in (200, 202, 204)
    problem(post(client, f"/seats/{action}", {**body, "id": f"{event.id}-2"}, **KEY), 422, "idempotency-key-reused")
    assert buyer.store.seats.get(SeatId(event.id, 2)).user == buyer.user
    same = post(client, f"/seats/{action}", {"UUID": buyer.user.upper(), "id": f"{event.id}-1"}, **KEY)
    assert (same.status_code, same.text) == (first.status_code, first.text)


@pytest.mark.parametrize("other", [{"name": "Another", "totalSeats": 10}, {"name": "Opening night", "totalSeats": 11}])
def test_another_event_with_the_same_key(client: testing.TestClient, store: Store, other: object) -> None:
    """422, and it is not created."""
    post(client, "/events/create", NEW, **KEY)
    problem(post(client, "/events/create", other, **KEY), 422, "idempotency-key-reused")
    assert store.client.zcard(keys.EVENTS) == 1


def test_keys_are_of_a_caller_and_a_route(client: testing.TestClient, event: Event, buyer: Buyer, other: str) -> None:
    """Somebody else's, or another route's, is another key."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    mine = {"id": str(seat), "UUID": buyer.user}
    assert post(client, "/seats/refresh", mine, **KEY).status_code == 200
    assert post(client, "/seats/reserve", mine, **KEY).status_code == 202
    problem(post(client, "/seats/refresh", {**mine, "UUID": other}, **KEY), 403, "not-holder")
    assert post(client, "/seats/hold", {"id": f"{event.id}-2", "UUID": other}, **KEY).status_code == 202


def test_the_caller_is_the_tokens_user(secured: testing.TestClient, store: Store) -> None:
    """Or, without tokens, the client's address for who creates an event."""
    one, two = (bearer(str(uuid4()), "events:write") for _ in range(2))
    first = post(secured, "/events/create", NEW, **KEY, **one).json["id"]
    assert post(secured, "/events/create", NEW, **KEY, **one).json["id"] == first
    assert post(secured, "/events/create", NEW, **KEY, **two).json["id"] != first


def test_without_tokens_an_events_caller_is_an_address(client: testing.TestClient) -> None:
    """Two addresses may use the same key."""

    def create(address: str) -> str:
        made = client.simulate_post("/events/create", json=NEW, headers=KEY, remote_addr=address)
        return str(made.json["id"])

    assert create("192.0.2.1") == create("192.0.2.1") != create("192.0.2.2")


@pytest.mark.parametrize(
    "key",
    ["", '""', "a b", "a, b", 'a"b', "é", "a" * 256, '"a', "a\\b", "\t"],
)
def test_keys_that_are_none(client: testing.TestClient, store: Store, key: str) -> None:
    """422, and nothing is done: a client that sends one relies on it."""
    body = problem(post(client, "/events/create", NEW, **{"Idempotency-Key": key}), 422, "invalid-request")
    assert body["errors"][0]["field"] == "Idempotency-Key"
    assert store.client.zcard(keys.EVENTS) == 0


def test_a_key_in_quotes_is_the_same_without(client: testing.TestClient) -> None:
    """The draft has a string of structured fields; many send it bare."""
    made = [post(client, "/events/create", NEW, **{"Idempotency-Key": key}).json["id"] for key in ('"k-1"', "k-1")]
    assert made[0] == made[1]


def _records(store: Store) -> list[str]:
    """Of events, and beside an event of what is asked of its seats."""
    names = map(str, store.client.scan_iter("*"))
    return [name for name in names if name.startswith("idempotency:") or ":once:" in name]


def test_it_is_forgotten_after_a_while(
    make_client: Callable[..., testing.TestClient], store: Store, event: Event, user: str
) -> None:
    """24 hours, unless configured otherwise: IDEMPOTENCY_TTL."""
    body = {"id": f"{event.id}-1", "UUID": user}
    post(make_client(), "/seats/release", body, **KEY)
    post(make_client(), "/events/create", NEW, **KEY)
    records = _records(store)
    now = int(store.client.time()[0]) * 1000
    assert [round((expiry_ms(store, key) - now) / 3_600_000) for key in records] == [24, 24]
    brief = make_client(idempotency_ttl=0.05)
    first = post(brief, "/events/create", {**NEW, "name": "brief"}, **KEY)
    assert first.status_code == 422  # that of the other, which is kept
    key = {"Idempotency-Key": "brief"}
    made = post(brief, "/events/create", NEW, **key).json["id"]
    wait_for(lambda: post(brief, "/events/create", NEW, **key).json["id"] != made)


def test_a_record_does_not_say_whose_it_is(
    client: testing.TestClient, store: Store, event: Event, buyer: Buyer
) -> None:
    """A user's UUID is a credential, and so may a key be."""
    buyer.hold(SeatId(event.id, 1))
    for action in ("hold", "refresh", "reserve", "release"):
        post(client, f"/seats/{action}", {"id": f"{event.id}-1", "UUID": buyer.user}, **KEY)
    records = {key: str(store.client.get(key)) for key in _records(store)}
    assert len(records) == 4
    secrets = (buyer.user, buyer.user.replace("-", ""), KEY["Idempotency-Key"].strip('"'))
    assert not [text for pair in records.items() for text in pair if any(secret in text for secret in secrets)]


# A creation takes several steps ----------------------------------------------------------------------------------


class Breaking(Scripts):
    """Scripts of which one run fails, before or after it has taken effect; a crash of the process in between."""

    def __init__(self, scripts: Scripts, at: int, taken: bool) -> None:
        self.__dict__.update(scripts.__dict__)
        self._left, self._taken = at, taken

    def run(self, *args: Any, **rest: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._taken:
            raise StateUnavailable
        reply = super().run(*args, **rest)
        if self._left == 0:
            raise StateUnavailable
        return reply


def request(name: str = "Opening night", key: str = "k") -> Once:
    return Once.of("caller", "/events/create", key, name, 60_000)


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_creation_that_breaks_off_is_gone_on_with(
    store: Store, monkeypatch: pytest.MonkeyPatch, at: int, taken: bool
) -> None:
    """Wherever it does: the request that is sent again makes the same event, whole, and no other."""
    monkeypatch.setattr(events, "_CLAIM_MS", 0)
    with pytest.raises(StateUnavailable):
        Events(Breaking(store.scripts, at, taken)).create("Opening night", 500, request())
    known = [str(event_id) for event_id in store.client.zrange(keys.EVENTS, 0, -1)]
    made = store.events.create("Opening night", 500, request())
    assert known in ([], [made.id])
    assert store.events.create("Opening night", 500, request()) == made
    assert store.client.zrange(keys.EVENTS, 0, -1) == [made.id]
    assert store.events.list_free(made.id).total == 500
    assert is_consistent(store, made)


def test_breaking_breaks(store: Store) -> None:
    """A creation of 500 seats takes five steps: claim, index, two batches, publish."""
    Events(Breaking(store.scripts, 6, False)).create("Opening night", 500, request())


def test_while_the_first_is_being_created_the_second_is_409(
    client: testing.TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a moment later the same event."""
    entered, goes_on = threading.Event(), threading.Event()
    create = Events._create

    def slow(self: Events, *arguments: Any) -> Event:
        entered.set()
        goes_on.wait(10)
        return create(self, *arguments)

    monkeypatch.setattr(Events, "_create", slow)
    answers: list[testing.Result] = []
    first = threading.Thread(target=lambda: answers.append(post(client, "/events/create", NEW, **KEY)))
    first.start()
    assert entered.wait(10)
    second = post(client, "/events/create", NEW, **KEY)
    problem(second, 409, "idempotency-key-in-use")
    assert second.headers["retry-after"] == "1"
    goes_on.set()
    first.join()
    third = post(client, "/events/create", NEW, **KEY)
    assert (third.status_code, third.json) == (201, answers[0].json)


def test_an_event_that_was_given_up_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id is spent; the request makes one of another id, and always the same."""
    monkeypatch.setattr(events, "_CLAIM_MS", 0)
    with pytest.raises(StateUnavailable):
        Events(Breaking(store.scripts, 3, True)).create("Opening night", 500, request())
    (first,) = store.client.zrange(keys.EVENTS, 0, -1)
    monkeypatch.setattr(events, "_ABANDONED_MS", 0)
    assert store.events.remove_unpublished(str(first))
    made = store.events.create("Opening night", 500, request())
    assert made.id != first
    assert store.events.create("Opening night", 500, request()) == made


def test_ids_of_events_cannot_be_told_from_keys(store: Store) -> None:
    """Two services, or a service whose database is new, make different ones of the same request."""
    made = store.events.create("Opening night", 10, request())
    store.client.flushall()
    assert store.events.create("Opening night", 10, request()).id != made.id


def test_a_claim_that_is_run_again_is_its_own(store: Store) -> None:
    """A reply that got lost on the way makes nobody wait for himself."""
    once = request()
    secret = "s" * 22
    first = store.scripts.run("claim_event", [once.record], [once.fingerprint, secret, 60_000, 5_000])
    assert store.scripts.run("claim_event", [once.record], [once.fingerprint, secret, 60_000, 5_000]) == first
    with pytest.raises(KeyInUse):
        store.events.create("Opening night", 10, request())
