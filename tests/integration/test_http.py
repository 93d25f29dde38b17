"""The HTTP contract, through the WSGI application on a real server: every path, every refusal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from falcon import testing

from reservation import keys
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.rounds import RoundPipelining, Rounds
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app, is_slow
from tests.conftest import Buyer, wait_for, working
from tests.integration.conftest import lines_of
from tests.web import JSON, post, problem


@pytest.fixture(name="working")
def _working(services: Services) -> Iterator[None]:
    with working(services.store, services.queue):
        yield


def finished(client: testing.TestClient, queued: testing.Result, user: str) -> dict[str, Any]:
    """The job of a 202, once it has ended."""
    assert queued.status_code == 202, queued.text
    path = queued.json["statusEndpoint"]
    assert queued.headers["location"] == path
    wait_for(lambda: client.simulate_get(path).json["status"] in ("completed", "failed"))
    job: dict[str, Any] = client.simulate_get(path, headers={"X-User-UUID": user}).json
    return job


def test_an_event_is_created_and_read(client: testing.TestClient) -> None:
    """201 with its address; the same from there."""
    made = post(client, "/events/create", {"name": "  Opening night ", "totalSeats": 10})
    assert made.status_code == 201
    assert made.json["name"] == "Opening night"
    assert made.json["totalSeats"] == 10
    assert made.headers["location"] == f"/events/{made.json['id']}"
    assert client.simulate_get(made.headers["location"]).json == made.json


def test_the_whole_sale(client: testing.TestClient, event: Event, user: str, working: None) -> None:
    """List, hold, read, refresh, reserve, read."""
    seat = f"{event.id}-5"
    listed = client.simulate_get(f"/seats/list/{event.id}").json
    assert (listed["event"], listed["total"], len(listed["seats"])) == (event.id, 20, 20)
    assert listed["seats"][4] == {"id": seat, "eventId": event.id, "UUID": "", "status": "Available"}

    queued = post(client, "/seats/hold", {"id": seat, "UUID": user.upper()})
    assert set(queued.json) == {"message", "jobId", "position", "estimatedWaitTime", "statusEndpoint"}
    job = finished(client, queued, user)
    assert (job["type"], job["status"], job["data"]) == (
        "HOLD_SEAT",
        "completed",
        {"seatId": seat, "seatIds": [seat], "userUUID": user},
    )
    assert job["result"]["success"] is True
    assert job["result"]["seat"]["status"] == "On hold"
    assert job["createdAt"] <= job["completedAt"] <= job["serverTime"]
    assert "position" not in job

    held = client.simulate_get(f"/seats/get/{seat}", headers={"X-User-UUID": user}).json
    assert (held["status"], held["UUID"]) == ("On hold", user)
    assert held["expiresAt"] == job["result"]["seat"]["expiresAt"]
    refreshed = post(client, "/seats/refresh", {"id": seat, "UUID": user})
    assert refreshed.status_code == 200
    assert refreshed.json["expiresAt"] >= held["expiresAt"]

    job = finished(client, post(client, "/seats/reserve", {"id": seat, "UUID": user}), user)
    assert (job["type"], job["result"]["success"]) == ("RESERVE_SEAT", True)
    reserved = {"id": seat, "eventId": event.id, "UUID": user, "status": "Reserved", "reservationId": job["id"]}
    assert job["result"]["seat"] == reserved
    assert client.simulate_get(f"/seats/get/{seat}").json["status"] == "Reserved"


def test_a_verdict_against_is_a_completed_job(
    client: testing.TestClient, store: Store, event: Event, user: str, other: str, services: Services
) -> None:
    """Accepted while the seat was free, refused when its turn came."""
    seat = SeatId(event.id, 1)
    queued = post(client, "/seats/hold", {"id": str(seat), "UUID": user})
    Buyer(store, other).hold(seat)
    with working(services.store, services.queue, threads=1):
        job = finished(client, queued, user)
    assert job["status"] == "completed"
    assert job["result"] == {"success": False, "message": "Another user holds this seat.", "error": "seat-held"}


def _look(client: testing.TestClient, services: Services, queued: testing.Result) -> tuple[Rounds, list[str]]:
    """Reads the job of a 202 as the server's loop does. Returns what works on it, and the statuses it was told."""
    assert isinstance(services.store.scripts.pipelining, RoundPipelining)
    told: list[str] = []
    rounds = Rounds()
    rounds.start(lambda: told.append(client.simulate_get(queued.json["statusEndpoint"]).json["status"]))
    return rounds, told


def _work(rounds: Rounds) -> None:
    while rounds.tasks:
        rounds.work()


def test_who_reads_a_young_job_is_told_of_its_end(
    client: testing.TestClient, services: Services, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends a moment after the first look, which is kept for so long; there is no second."""
    monkeypatch.setattr("reservation_http.resources.jobs._YOUNG_MS", 60_000)
    seat = SeatId(event.id, 1)
    queued = post(client, "/seats/hold", {"id": str(seat), "UUID": user})
    rounds, told = _look(client, services, queued)
    _work(rounds)
    assert told == []
    services.store.seats.hold(seat, user, JobId.parse(queued.json["jobId"]))
    wait_for(lambda: rounds.pausing_s <= 0)
    rounds.wake()
    _work(rounds)
    assert told == ["completed"]


@pytest.mark.parametrize(("young_ms", "looks"), [(60_000, 5), (-1, 1)])
def test_who_reads_a_job_that_nobody_carries_out_is_told_so(
    client: testing.TestClient,
    services: Services,
    event: Event,
    user: str,
    monkeypatch: pytest.MonkeyPatch,
    young_ms: int,
    looks: int,
) -> None:
    """After a few looks if it is young, at once if it is not; and at once where waiting would keep a thread."""
    monkeypatch.setattr("reservation_http.resources.jobs._YOUNG_MS", young_ms)
    queued = post(client, "/seats/hold", {"id": str(SeatId(event.id, 1)), "UUID": user})
    rounds, told = _look(client, services, queued)
    _work(rounds)
    for _ in range(looks - 1):
        assert told == []
        wait_for(lambda: rounds.pausing_s <= 0)
        rounds.wake()
        _work(rounds)
    assert told == ["waiting"]
    assert client.simulate_get(queued.json["statusEndpoint"]).json["status"] == "waiting"


@pytest.mark.parametrize(
    ("path", "slow"),
    [
        ("/events/create", True),
        ("/seats/list/k3v9x2m7qa", True),
        ("/openapi.json", True),
        ("/docs", True),
        ("/docs/swagger-ui.js", True),
        ("//events/create", True),
        ("///seats/list/k3v9x2m7qa", True),
        ("/events", True),
        ("/events/k3v9x2m7qa/seats", True),
        ("/events/k3v9x2m7qa/holds", True),
        ("/events/k3v9x2m7qa/webhooks", True),
        ("/events/k3v9x2m7qa/webhooks/wh_aaaaaaaaaa/deliveries", True),
        ("/events/k3v9x2m7qa/webhooks/wh_aaaaaaaaaa", False),
        ("//events/k3v9x2m7qa/seats", True),
        ("/problems/seat-held", True),
        ("/events/k3v9x2m7qa", False),
        ("/seats/get/k3v9x2m7qa-1", False),
        ("/seats/hold", False),
        ("/seats/job/k3v9x2m7qa-x/status", False),
        ("/health/ready", False),
    ],
)
def test_what_takes_long_is_known_by_its_path(path: str, slow: bool) -> None:
    """It goes to the pool, so that the others need not wait for it."""
    assert is_slow(path) == slow


def test_a_hold_is_given_back(client: testing.TestClient, event: Event, buyer: Buyer) -> None:
    """204, and 204 again."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    for _ in range(2):
        released = post(client, "/seats/release", {"id": str(seat), "UUID": buyer.user})
        assert (released.status_code, released.text) == (204, "")
    assert client.simulate_get(f"/seats/get/{seat}").json["status"] == "Available"


def test_refusals_are_problems_that_programs_can_use(
    client: testing.TestClient, store: Store, event: Event, buyer: Buyer, other: str
) -> None:
    """Each with its status, its type and its members."""
    held, sold, free = SeatId(event.id, 1), SeatId(event.id, 2), SeatId(event.id, 3)
    buyer.hold(held)
    buyer.hold(sold)
    buyer.reserve(sold)

    def by(user: str, action: str, seat: SeatId) -> testing.Result:
        return post(client, f"/seats/{action}", {"id": str(seat), "UUID": user})

    refused = problem(by(other, "hold", held), 409, "seat-held")
    assert (refused["currentStatus"], refused["retryable"]) == ("On hold", True)
    refused = problem(by(other, "hold", sold), 409, "seat-reserved")
    assert (refused["currentStatus"], refused["retryable"]) == ("Reserved", False)
    for action in ("refresh", "reserve", "release"):
        problem(by(other, action, held), 403, "not-holder")
    problem(by(buyer.user, "refresh", free), 409, "not-on-hold")
    problem(by(buyer.user, "reserve", free), 409, "not-on-hold")
    problem(by(buyer.user, "refresh", sold), 409, "seat-reserved")
    problem(by(buyer.user, "release", sold), 409, "seat-reserved")
    store.seats.accept_reserve(held, buyer.user, JobId.new(event.id))
    refused = problem(by(buyer.user, "release", held), 409, "reserve-pending")
    assert refused["reservingUntil"] > 0
    for number in range(4, 9):
        buyer.hold(SeatId(event.id, number))
    refused = problem(by(buyer.user, "hold", SeatId(event.id, 9)), 409, "limit-reached")
    assert (refused["limit"], refused["held"]) == (6, 6)


def test_a_second_reserve_is_the_same_job(client: testing.TestClient, event: Event, buyer: Buyer) -> None:
    """While the first is under way."""
    buyer.hold(SeatId(event.id, 1))
    body = {"id": f"{event.id}-1", "UUID": buyer.user}
    first, second = (post(client, "/seats/reserve", body).json["jobId"] for _ in range(2))
    assert first == second


def test_a_second_reserve_sends_no_second_message(
    client: testing.TestClient, services: Services, event: Event, buyer: Buyer
) -> None:
    """Who asks a hundred times is not given a hundred turns."""
    buyer.hold(SeatId(event.id, 1))
    for _ in range(5):
        assert post(client, "/seats/reserve", {"id": f"{event.id}-1", "UUID": buyer.user}).status_code == 202
    assert services.queue.depth() == 1


@pytest.mark.parametrize("action", ["hold", "refresh", "reserve", "release"])
def test_made_up_ids_write_nothing(client: testing.TestClient, store: Store, action: str, user: str) -> None:
    """404, and not even an entry in an index."""
    problem(post(client, f"/seats/{action}", {"id": "k3v9x2m7qa-1", "UUID": user}), 404, "not-found")
    assert store.client.dbsize() == 0


def test_places_in_the_queue(client: testing.TestClient, event: Event) -> None:
    """0 is next; the job shows its place while it waits."""
    queued = [post(client, "/seats/hold", {"id": f"{event.id}-{n}", "UUID": str(uuid4())}) for n in (1, 2, 3)]
    assert [q.json["position"] for q in queued] == [0, 1, 2]
    job = client.simulate_get(queued[2].json["statusEndpoint"]).json
    assert (job["status"], job["position"]) == ("waiting", 2)
    assert isinstance(job["estimatedWaitTime"], int)


@pytest.mark.parametrize(
    "path",
    [
        "/events/k3v9x2m7qa",
        "/events/UPPER",
        "/seats/list/k3v9x2m7qa",
        "/seats/list/x",
        "/seats/get/k3v9x2m7qa-1",
        "/seats/get/k3v9x2m7qa",
        "/seats/get/k3v9x2m7qa-99999",
        "/seats/get/k3v9x2m7qa-1%0A",
        "/seats/job/k3v9x2m7qa-aaaaaaaaaaaaaaaaaaaaaaaaa/status",
        "/seats/job/1/status",
    ],
)
def test_what_is_not_there_is_404(client: testing.TestClient, path: str) -> None:
    """Unknown ids, and texts that are no ids."""
    problem(client.simulate_get(path), 404, "not-found")


def test_unknown_paths_and_methods(client: testing.TestClient) -> None:
    """Are problems too."""
    problem(client.simulate_get("/nowhere"), 404, "unknown-route")
    refused = client.simulate_delete("/seats/hold")
    problem(refused, 405, "method-not-allowed")
    assert "POST" in refused.headers["allow"]


GOOD = {"name": "Opening night", "totalSeats": 10}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**GOOD, "totalSeats": "10"}, "totalSeats"),
        ({**GOOD, "totalSeats": 10.5}, "totalSeats"),
        ({**GOOD, "totalSeats": 10.0}, "totalSeats"),
        ({**GOOD, "totalSeats": True}, "totalSeats"),
        ({**GOOD, "totalSeats": [20]}, "totalSeats"),
        ({**GOOD, "totalSeats": "0x20"}, "totalSeats"),
        ({**GOOD, "totalSeats": None}, "totalSeats"),
        ({**GOOD, "totalSeats": 9}, "totalSeats"),
        ({**GOOD, "totalSeats": 10_001}, "totalSeats"),
        ({**GOOD, "totalSeats": -10}, "totalSeats"),
        ({**GOOD, "totalSeats": 10**30}, "totalSeats"),
        ({"name": "x"}, "totalSeats"),
        ({"totalSeats": 10}, "name"),
        ({**GOOD, "name": ""}, "name"),
        ({**GOOD, "name": "   "}, "name"),
        ({**GOOD, "name": "x" * 201}, "name"),
        ({**GOOD, "name": "a\u0000b"}, "name"),
        ({**GOOD, "name": "a\nb"}, "name"),
        ({**GOOD, "name": "\u200b\u2060"}, "name"),
        ({**GOOD, "name": 7}, "name"),
        ({**GOOD, "seats": 10}, "seats"),
        ([], ""),
        ("text", ""),
        (None, ""),
    ],
)
def test_events_that_cannot_be_are_422(client: testing.TestClient, store: Store, body: object, field: str) -> None:
    """The field is named, and nothing is written."""
    refused = problem(post(client, "/events/create", body), 422, "invalid-request")
    assert [e["field"] for e in refused["errors"]] == [field]
    assert store.client.dbsize() == 0


@pytest.mark.parametrize("action", ["hold", "refresh", "reserve", "release"])
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": None}, "id"),
        ({"id": 5}, "id"),
        ({"id": "5"}, "id"),
        ({"id": "k3v9x2m7qa-0"}, "id"),
        ({"id": "k3v9x2m7qa-10001"}, "id"),
        ({"id": "k3v9x2m7qa}-1"}, "id"),
        ({"id": "k3v9x2m7qa-1\n"}, "id"),
        ({"UUID": "me"}, "UUID"),
        ({"UUID": None}, "UUID"),
        ({"UUID": "0b9f5a527c1e4f0b9d3e2f6a1c8e4d70"}, "UUID"),
        ({"UUID": "{0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70}"}, "UUID"),
        ({"UUID": "urn:uuid:0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"}, "UUID"),
        ({"uuid": "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"}, "uuid"),
        ({"user": "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"}, "user"),
    ],
)
def test_seat_actions_that_cannot_be_are_422(
    client: testing.TestClient, store: Store, action: str, change: dict[str, object], field: str
) -> None:
    """The field is named, its value is not repeated, and nothing is written."""
    body = {"id": "k3v9x2m7qa-1", "UUID": "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70", **change}
    refused = post(client, f"/seats/{action}", body)
    assert [e["field"] for e in problem(refused, 422, "invalid-request")["errors"]] == [field]
    assert "0b9f5a52" not in refused.text
    assert store.client.dbsize() == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "x", "totalSeats": 10',
        b"{'name': 'x'}",
        b'{"name": "\xff\xfe", "totalSeats": 10}',
        b'{"name": "\\ud800", "totalSeats": 10}',
        b'{"name": "x", "totalSeats": 10} trailing',
        b"[" * 10_000,
        b'\xef\xbb\xbf{"name": "x", "totalSeats": 10}',
    ],
)
def test_what_is_not_json_is_400(client: testing.TestClient, store: Store, body: bytes) -> None:
    """And nothing is written."""
    problem(client.simulate_post("/events/create", body=body, headers=JSON), 400, "malformed-json")
    assert store.client.dbsize() == 0


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e400", b"1e1", b"9" * 5_000])
def test_numbers_that_are_none(client: testing.TestClient, number: bytes) -> None:
    """Are refused, one way or the other, in a problem."""
    body = b'{"name": "x", "totalSeats": ' + number + b"}"
    refused = client.simulate_post("/events/create", body=body, headers=JSON)
    assert refused.status_code in (400, 422)
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_is_not_sent_as_json_is_415(client: testing.TestClient, media_type: str | None) -> None:
    """Forms and plain text included: another site's page can send those without being asked."""
    headers = {"Content-Type": media_type} if media_type else {}
    refused = client.simulate_post("/events/create", body=b'{"name": "x", "totalSeats": 10}', headers=headers)
    problem(refused, 415, "unsupported-media-type")


def test_json_may_name_its_charset(client: testing.TestClient) -> None:
    """As many clients do."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    made = client.simulate_post("/events/create", body=b'{"name": "Caf\xc3\xa9", "totalSeats": 10}', headers=headers)
    assert (made.status_code, made.json["name"]) == (201, "Café")


def test_a_body_that_is_too_large_is_413(client: testing.TestClient) -> None:
    """Before it is read whole."""
    problem(post(client, "/events/create", {"name": "x" * 20_000, "totalSeats": 10}), 413, "body-too-large")


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=ten", "limit"), ("limit=1.0", "limit"),
     ("limit=%2B5", "limit"), ("limit=5&limit=6", "limit"), ("cursor=-1", "cursor"), ("cursor=", "cursor")],
)  # fmt: skip
def test_pages_that_cannot_be_are_422(client: testing.TestClient, event: Event, query: str, field: str) -> None:
    """The parameter is named."""
    refused = client.simulate_get(f"/seats/list/{event.id}", query_string=query)
    assert [e["field"] for e in problem(refused, 422, "invalid-request")["errors"]] == [field]


def test_lists_come_in_pages(client: testing.TestClient, event: Event) -> None:
    """`nextCursor` leads to the next, and is absent on the last."""
    path, cursor, seats = f"/seats/list/{event.id}", "", []
    for size in (8, 8, 4):
        page = client.simulate_get(path, query_string=f"limit=8{cursor}").json
        assert page["total"] == 20
        assert len(page["seats"]) == size
        seats += [seat["id"] for seat in page["seats"]]
        cursor = f"&cursor={page.get('nextCursor')}"
    assert seats == [f"{event.id}-{n}" for n in range(1, 21)]
    assert "nextCursor" not in page


def test_an_unchanged_list_is_304(client: testing.TestClient, event: Event, buyer: Buyer) -> None:
    """Until a seat changes."""
    path = f"/seats/list/{event.id}"
    etag = client.simulate_get(path).headers["etag"]
    same = client.simulate_get(path, headers={"If-None-Match": etag})
    assert (same.status_code, same.text, same.headers["etag"]) == (304, "", etag)
    for several in (f'"other", {etag}', "*"):
        assert client.simulate_get(path, headers={"If-None-Match": several}).status_code == 304
    buyer.hold(SeatId(event.id, 1))
    changed = client.simulate_get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_events_come_in_pages(client: testing.TestClient, store: Store) -> None:
    """20 unless asked otherwise, the newest first."""
    made = [store.events.create("Opening night", 10).id for _ in range(21)]
    store.client.zadd(keys.EVENTS, {event_id: n for n, event_id in enumerate(made)})
    page = client.simulate_get("/events")
    assert page.headers["cache-control"] == "no-cache"
    assert [event["id"] for event in page.json["events"]] == made[:0:-1]
    assert page.json["nextCursor"] == made[1]
    assert page.json["events"][0] == {
        **client.simulate_get(f"/events/{made[-1]}").json,
        "free": 10,
        "held": 0,
        "reserved": 0,
        "blocked": 0,
    }
    last = client.simulate_get("/events", query_string=f"limit=100&cursor={made[1]}").json
    assert ([event["id"] for event in last["events"]], set(last)) == (made[:1], {"events"})


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=", "limit"), ("limit=5&limit=6", "limit"),
     ("cursor=K3V9X2M7QA", "cursor"), ("cursor=", "cursor"), ("cursor=1", "cursor")],
)  # fmt: skip
def test_pages_of_events_that_cannot_be_are_422(
    client: testing.TestClient, event: Event, query: str, field: str
) -> None:
    """The parameter is named."""
    refused = client.simulate_get("/events", query_string=query)
    assert [e["field"] for e in problem(refused, 422, "invalid-request")["errors"]] == [field]


def test_a_page_after_an_event_that_is_not_there_is_not_found(client: testing.TestClient, event: Event) -> None:
    """It could be an event, so the question is sound."""
    problem(client.simulate_get("/events", query_string="cursor=k3v9x2m7qb"), 404, "not-found")


def test_every_seat_is_one_letter(client: testing.TestClient, event: Event, buyer: Buyer) -> None:
    """With the number of the last change; 304 until a seat changes."""
    path = f"/events/{event.id}/seats"
    buyer.hold(SeatId(event.id, 3))
    buyer.hold(SeatId(event.id, 20))
    buyer.reserve(SeatId(event.id, 20))
    read = client.simulate_get(path)
    assert read.json == {
        "event": event.id,
        "sequence": 3,
        "serverTime": read.json["serverTime"],
        "free": 18,
        "held": 1,
        "reserved": 1,
        "blocked": 0,
        "seats": "AAH" + "A" * 16 + "R",
    }
    assert read.headers["cache-control"] == "no-cache"
    etag = read.headers["etag"]
    assert etag.startswith('W/"')
    for known in (etag, f'"other", {etag}', "*"):
        same = client.simulate_get(path, headers={"If-None-Match": known})
        assert (same.status_code, same.text, same.headers["etag"]) == (304, "", etag)
    buyer.hold(SeatId(event.id, 1))
    changed = client.simulate_get(path, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json["seats"][0], changed.json["sequence"]) == (200, "H", 4)
    for unknown in ("k3v9x2m7qb", "K3V9X2M7QA", "x"):
        problem(client.simulate_get(f"/events/{unknown}/seats"), 404, "not-found")


def test_a_user_finds_holds_and_reservations_again(
    client: testing.TestClient, store: Store, event: Event, buyer: Buyer, other: str
) -> None:
    """After a reload: with all that is needed to go on. Nobody else does."""
    path, mine = f"/events/{event.id}/holds", {"X-User-UUID": buyer.user.upper()}
    for number in (1, 2):
        buyer.hold(SeatId(event.id, number))
    buyer.reserve(SeatId(event.id, 1))
    read = client.simulate_get(path, headers=mine)
    assert read.headers["cache-control"] == "private, no-cache"
    assert read.headers["vary"] == "X-User-UUID, Authorization"
    held, sold = (client.simulate_get(f"/seats/get/{event.id}-{n}", headers=mine).json for n in (2, 1))
    assert (held["UUID"], sold["UUID"]) == (buyer.user, buyer.user)
    assert read.json == {
        "event": event.id,
        "serverTime": read.json["serverTime"],
        "limit": 6,
        "holdDuration": 60_000,
        "holds": [{**held, "serverTime": read.json["serverTime"]}],
        "reservations": [sold],
    }
    nobody = client.simulate_get(path, headers={"X-User-UUID": other})
    assert (nobody.json["holds"], nobody.json["reservations"]) == ([], [])
    assert buyer.user not in nobody.text
    for unknown in ("k3v9x2m7qb", "K3V9X2M7QA", "x"):
        problem(client.simulate_get(f"/events/{unknown}/holds", headers=mine), 404, "not-found")


def test_who_asks_for_what_is_theirs_says_who_they_are(client: testing.TestClient, event: Event) -> None:
    """By the header, which the problem names."""
    missing = problem(client.simulate_get(f"/events/{event.id}/holds"), 422, "invalid-request")
    assert missing["errors"] == [{"field": "X-User-UUID", "message": "Field required"}]
    for nobody in ("", "me"):
        refused = client.simulate_get(f"/events/{event.id}/holds", headers={"X-User-UUID": nobody})
        assert [e["field"] for e in problem(refused, 422, "invalid-request")["errors"]] == ["X-User-UUID"]


def test_a_strangers_reads_show_no_user(client: testing.TestClient, store: Store, event: Event, buyer: Buyer) -> None:
    """Neither of seats nor of jobs: whoever knows the UUID could reserve the seat."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, buyer.user, job)
    store.seats.hold(seat, buyer.user, job)
    for path in (f"/seats/get/{seat}", f"/seats/job/{job}/status"):
        for headers in ({}, {"X-User-UUID": str(uuid4())}):
            read = client.simulate_get(path, headers=headers)
            assert read.status_code == 200
            assert buyer.user not in read.text
            assert read.headers["cache-control"] == "private, no-cache"
            assert read.headers["vary"] == "X-User-UUID, Authorization"
        assert buyer.user in client.simulate_get(path, headers={"X-User-UUID": buyer.user.upper()}).text
    refused = client.simulate_get(f"/seats/get/{seat}", headers={"X-User-UUID": "me"})
    assert problem(refused, 422, "invalid-request")["errors"][0]["field"] == "X-User-UUID"


def test_request_ids_go_all_the_way(client: testing.TestClient, store: Store, event: Event, user: str) -> None:
    """The caller's if it is sound, one of ours otherwise; into the ledger, and so the worker's log."""
    body = {"id": f"{event.id}-1", "UUID": user}
    queued = post(client, "/seats/hold", body, **{"X-Request-ID": "balancer-7.a"})
    assert queued.headers["x-request-id"] == "balancer-7.a"
    assert store.client.hget(keys.job(JobId.parse(queued.json["jobId"])), "request") == "balancer-7.a"
    forged = client.simulate_get("/health/live", headers={"X-Request-ID": 'x" level="fatal'})
    assert forged.headers["x-request-id"].isalnum()


@contextmanager
def _without(name: str, make_settings: Callable[..., Settings]) -> Iterator[testing.TestClient]:
    services = Services.connect(make_settings(**{name: "unix:///nonexistent/redis.sock"}))
    yield testing.TestClient(create_app(services))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/events/create", GOOD),
        ("GET", "/events/k3v9x2m7qa", None),
        ("GET", "/seats/list/k3v9x2m7qa", None),
        ("GET", "/seats/get/k3v9x2m7qa-1", None),
        ("GET", "/seats/job/k3v9x2m7qa-aaaaaaaaaaaaaaaaaaaaaaaaa/status", None),
        *(
            ("POST", f"/seats/{action}", {"id": "k3v9x2m7qa-1", "UUID": "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"})
            for action in ("hold", "refresh", "reserve", "release")
        ),
    ],
)
def test_without_its_state_every_path_is_503(
    make_settings: Callable[..., Settings], method: str, path: str, body: object
) -> None:
    """With Retry-After, and no more than that."""
    with _without("redis_url", make_settings) as client:
        refused = client.simulate_request(method, path, json=body) if body else client.simulate_get(path)
    assert problem(refused, 503, "state-unavailable")["retryable"] is True
    assert refused.headers["retry-after"] == "1"


def test_without_its_queue_it_still_accepts(
    make_settings: Callable[..., Settings], store: Store, event: Event, user: str
) -> None:
    """The ledger has the job; a sweeper sends it when the queue is back."""
    with _without("broker_url", make_settings) as client:
        queued = post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": user})
        assert queued.status_code == 202
        assert store.jobs.read(JobId.parse(queued.json["jobId"])).status == "waiting"
        ready = client.simulate_get("/health/ready")
    assert (ready.status_code, ready.json["status"], ready.json["broker"]) == (200, "degraded", "down")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.yaml", "/seats/list/{event}"])
def test_head_is_get_without_its_body(client: testing.TestClient, event: Event, path: str) -> None:
    """As monitors and proxies ask (RFC 9110)."""
    path = path.format(event=event.id)
    got, head = client.simulate_get(path), client.simulate_head(path)
    assert (head.status_code, head.text) == (200, "")
    assert head.headers["content-length"] == str(len(got.content))


def test_readiness(client: testing.TestClient, store: Store, make_settings: Callable[..., Settings]) -> None:
    """Degraded without workers or sweepers, with 200; unavailable without state, with 503."""
    assert client.simulate_get("/health/ready").json["status"] == "degraded"
    store.fleet.beat(keys.WORKERS, "a worker")
    store.fleet.beat(keys.SWEEPERS, "a sweeper")
    ready = client.simulate_get("/health/ready").json
    known = {"state": "up", "broker": "up", "workers": 1, "sweepers": 1, "rateLimits": "off", "uncounted": 0}
    assert ready == {"status": "ready", **known}
    with _without("redis_url", make_settings) as lost:
        assert lost.simulate_get("/health/ready").status_code == 503
        assert lost.simulate_get("/health/live").status_code == 200


def test_a_mistake_of_ours_is_told_in_one_sentence(
    client: testing.TestClient, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 without a stack trace."""

    def broken(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("reservation.events.Events.get", broken)
    refused = client.simulate_get(f"/events/{event.id}")
    problem(refused, 500, "internal-error")
    assert "42" not in refused.text


def test_a_path_in_the_log_moves_no_cursor(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """What controls a terminal is written out."""
    lines = lines_of("reservation_http.middleware", monkeypatch)
    testing.TestClient(create_app(services)).simulate_get("/%1b%5b2J%0d")
    assert [line["path"] for line in lines] == ["/\\x1b[2J\\r"]
