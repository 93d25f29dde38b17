"""The audit: who did what to an event's seats, for whom it is meant, and in agreement with what the seats are."""

import csv
import io
import random
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from falcon import testing

from reservation import keys
from reservation.errors import ReservationError
from reservation.ids import JobId, SeatId
from reservation.models import AuditEntry, Event
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import is_slow
from tests.conftest import Buyer, wait_for
from tests.e2e.conftest import COMMAND, clean_environment
from tests.web import bearer, problem


def _read(client: testing.TestClient, event: Event, query: str = "", **headers: str) -> dict[str, Any]:
    answer = client.simulate_get(f"/events/{event.id}/audit", query_string=query, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json
    return told


def _note(store: Store, event: Event, cause: str, at: str = "*", **more: str) -> None:
    """Writes an entry past the scripts."""
    fields: Any = {"seq": "1", "seat": "4", "cause": cause, "actor": "", "job": "", "request": "", **more}
    store.client.xadd(keys.changes(event.id), fields, id=at)


def _table(answer: testing.Result) -> list[dict[str, str]]:
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def sold(store: Store, event: Event, buyer: Buyer, rival: Buyer) -> list[str]:
    """What has happened to two seats: the causes, in order."""
    first, second = SeatId(event.id, 1), SeatId(event.id, 2)
    buyer.hold(first)
    rival.hold(second)
    store.seats.refresh(first, buyer.user, "request-1")
    store.seats.release(second, rival.user)
    buyer.reserve(first)
    rival.hold(second)
    # As if a minute had passed.
    store.client.hset(keys.seat(second), "expiresAt", 1)
    store.client.zadd(keys.holds(event.id), {str(second): 1})
    store.seats.release_due(event.id)
    store.seats.cancel(first, buyer.user, buyer.user)
    return ["held", "held", "refreshed", "released", "reserved", "held", "expired", "cancelled"]


def test_it_says_who_did_what_when_why_and_by_what(
    client: testing.TestClient, store: Store, event: Event, user: str
) -> None:
    """The job and the request that it came by; the user as a hash, which is in no other event's."""
    seat, job = SeatId(event.id, 3), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job, "request-7")
    store.seats.hold(seat, user, job, "request-7")
    answer = client.simulate_get(f"/events/{event.id}/audit")
    (entry,) = answer.json["entries"]
    held = store.jobs.read(job)
    assert entry == {
        "sequence": 1,
        "time": held.completed_at,
        "seat": str(seat),
        "from": "Available",
        "to": "On hold",
        "cause": "held",
        "actor": store.audit.actor(event.id, user),
        "job": str(job),
        "request": "request-7",
    }
    assert user not in answer.text
    assert store.audit.actor("k3v9x2m7qa", user) != entry["actor"]
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "link" not in answer.headers


def test_every_change_is_in_it(
    client: testing.TestClient, store: Store, event: Event, sold: list[str], user: str, other: str
) -> None:
    """In order; what the service did by itself has no actor."""
    trail = _read(client, event)
    assert (trail["event"], [entry["cause"] for entry in trail["entries"]]) == (event.id, sold)
    assert [entry["sequence"] for entry in trail["entries"]] == list(range(1, len(sold) + 1))
    one, two = (store.audit.actor(event.id, each) for each in (user, other))
    assert [entry.get("actor") for entry in trail["entries"]] == [one, two, one, two, one, two, None, one]


def test_it_comes_in_pages(client: testing.TestClient, event: Event, sold: list[str]) -> None:
    """`nextCursor`, or the `Link`, leads to the next, and is absent on the last."""
    whole = _read(client, event)["entries"]
    found, query = [], "limit=3"
    for size in (3, 3, 2):
        answer = client.simulate_get(f"/events/{event.id}/audit", query_string=query)
        found += answer.json["entries"]
        assert len(answer.json["entries"]) == size
        if size == 3:
            assert answer.headers["link"].endswith("; rel=next")
            query = answer.headers["link"].partition("?")[2].partition(">")[0]
            assert f"cursor={answer.json['nextCursor']}" in query
    assert "nextCursor" not in answer.json
    assert "link" not in answer.headers
    assert found == whole
    assert "nextCursor" not in _read(client, event, f"limit={len(sold)}")


def test_one_seat_one_user_and_a_time(
    client: testing.TestClient, store: Store, event: Event, sold: list[str], user: str, other: str
) -> None:
    """Are told apart, together too, and over pages. Who did nothing has a hash all the same."""
    whole = _read(client, event)["entries"]
    one = store.audit.actor(event.id, user)
    assert _read(client, event, f"seat={event.id}-2")["entries"] == [e for e in whole if e["seat"].endswith("-2")]
    mine = _read(client, event, f"user={user.upper()}")
    assert (mine["actor"], mine["entries"]) == (one, [e for e in whole if e.get("actor") == one])
    both = _read(client, event, f"user={other}&seat={event.id}-1")
    assert (both["actor"], both["entries"]) == (store.audit.actor(event.id, other), [])
    first = _read(client, event, f"user={user}&limit=2")
    rest = _read(client, event, f"user={user}&limit=9&cursor={first['nextCursor']}")
    assert first["entries"] + rest["entries"] == mine["entries"]
    time = whole[4]["time"]
    assert _read(client, event, f"since={time}")["entries"] == [e for e in whole if e["time"] >= time]
    assert _read(client, event, f"since={whole[-1]['time'] + 1}")["entries"] == []
    assert user not in client.simulate_get(f"/events/{event.id}/audit", query_string=f"user={user}").text


def test_a_table_says_the_same(client: testing.TestClient, event: Event, sold: list[str]) -> None:
    """As `Accept` or `format` asks for it; its pages, one after another, are one table."""
    path, whole = f"/events/{event.id}/audit", _read(client, event)["entries"]
    for query, headers in (("", {"Accept": "text/csv"}), ("format=csv", {"Accept": "application/json"})):
        answer = client.simulate_get(path, query_string=query, headers=headers)
        rows = _table(answer)
        assert answer.headers["content-disposition"] == f'attachment; filename="audit-{event.id}.csv"'
        assert "Accept" in answer.headers["vary"]
    assert [row["time"][-1] + row["time"][10] for row in rows] == ["ZT"] * len(whole)
    for row, entry in zip(rows, whole, strict=True):
        assert {k: v for k, v in row.items() if k != "time"} == {
            name: str(entry.get(name, "")) for name in row if name != "time"
        }
    pages, query = "", "format=csv&limit=3"
    while query:
        page = client.simulate_get(path, query_string=query)
        pages += page.text
        query = page.headers.get("link", "").partition("?")[2].partition(">")[0]
    assert pages == answer.text
    as_json = client.simulate_get(path, query_string="format=json", headers={"Accept": "text/csv"})
    assert as_json.json["entries"] == whole


def test_no_cell_is_a_formula(client: testing.TestClient, store: Store, event: Event, user: str) -> None:
    """A request's id is the client's; whatever else may once be in the stream, too."""
    body = {"id": f"{event.id}-1", "UUID": user}
    queued = client.simulate_post("/seats/hold", json=body, headers={"X-Request-ID": "-2-3"})
    store.seats.hold(SeatId(event.id, 1), user, JobId.parse(queued.json["jobId"]), "-2-3")
    for cause in ("=HYPERLINK(1)", "+1", "@SUM(A1)", "\t=1", 'a,"b"\n=1'):
        _note(store, event, cause)
    rows = _table(client.simulate_get(f"/events/{event.id}/audit", query_string="format=csv"))
    assert rows[0]["request"] == "'-2-3"
    assert [row["cause"] for row in rows[1:]] == ["'=HYPERLINK(1)", "'+1", "'@SUM(A1)", "'\t=1", 'a,"b"\n=1']


def test_what_a_later_version_writes_is_told_too(client: testing.TestClient, store: Store, event: Event) -> None:
    """A cause that is not known here, with members that are not."""
    _note(store, event, "moved", place="7")
    (entry,) = _read(client, event)["entries"]
    assert {"sequence": 1, "seat": f"{event.id}-4", "cause": "moved"}.items() <= entry.items()
    assert not {"from", "to"} & entry.keys()


def test_it_goes_back_as_far_as_it_is_kept(client: testing.TestClient, store: Store, event: Event, user: str) -> None:
    """To the millisecond, though Redis keeps older entries in a block with younger ones."""
    now = store.events.load(event.id).now
    for age_ms in (100_000_000, 86_400_001, 86_300_000):
        _note(store, event, "held", f"{now - age_ms}-0")
    assert [entry["time"] for entry in _read(client, event)["entries"]] == [now - 86_300_000]
    assert [entry["time"] for entry in _read(client, event, "since=5")["entries"]] == [now - 86_300_000]
    cursor = f"cursor={now - 100_000_000}-0"
    assert [entry["time"] for entry in _read(client, event, cursor)["entries"]] == [now - 86_300_000]


def test_a_page_looks_at_a_bounded_number_of_entries(
    client: testing.TestClient, store: Store, event: Event, sold: list[str], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few are wanted of many, it ends before it is full, and leads on."""
    monkeypatch.setattr("reservation.audit._LOOK", 1)
    monkeypatch.setattr("reservation.audit._CALLS", 2)
    found, cursor, sizes = [], "", []
    while True:
        page = _read(client, event, f"user={other}{cursor}")
        found += page["entries"]
        sizes.append(len(page["entries"]))
        if "nextCursor" not in page:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert sizes == [1, 1, 1, 0, 0]
    assert [entry["cause"] for entry in found] == ["held", "released", "held"]


def test_it_is_for_those_who_sell(secured: testing.TestClient, client: testing.TestClient, event: Event) -> None:
    """`events:write`, and no other scope. Without tokens, in development, for anybody."""
    path = f"/events/{event.id}/audit"
    problem(secured.simulate_get(path), 401, "token-missing")
    refused = secured.simulate_get(path, headers=bearer(str(uuid4()), "seats:read", "ops:read"))
    assert problem(refused, 403, "scope-missing")["scope"] == "events:write"
    assert secured.simulate_get(path, headers=bearer(str(uuid4()), "events:write")).status_code == 200
    assert client.simulate_get(path).status_code == 200


def test_what_is_not_there_is_404(client: testing.TestClient, event: Event) -> None:
    """Events that nobody has created, texts that are no ids, and a seat of another event."""
    for unknown in ("k3v9x2m7qb", "K3V9X2M7QA", "x"):
        problem(client.simulate_get(f"/events/{unknown}/audit"), 404, "not-found")
    other = client.simulate_get(f"/events/{event.id}/audit", query_string="seat=k3v9x2m7qb-1")
    problem(other, 404, "not-found")


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=ten", "limit"), ("cursor=5", "cursor"),
     ("cursor=(5-0", "cursor"), ("cursor=-", "cursor"), ("since=-1", "since"), ("since=yesterday", "since"),
     ("seat=5", "seat"), ("user=me", "user"), ("format=xml", "format")],
)  # fmt: skip
def test_questions_that_cannot_be_are_422(client: testing.TestClient, event: Event, query: str, field: str) -> None:
    """The parameter is named."""
    refused = client.simulate_get(f"/events/{event.id}/audit", query_string=query)
    assert [error["field"] for error in problem(refused, 422, "invalid-request")["errors"]] == [field]


def test_it_keeps_nobody_waiting() -> None:
    """Of those whom the loop answers: a page may have ten thousand entries."""
    assert is_slow("/events/k3v9x2m7qa/audit")


def test_a_command_prints_all_of_it(
    store: Store, make_settings: Callable[..., Settings], event: Event, sold: list[str], user: str, tmp_path: Path
) -> None:
    """As one table, and what one user did."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(REDIS_URL=make_settings().state_url)
        return subprocess.run(
            [*COMMAND, "audit", *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True
        )

    def causes(printed: str) -> list[str]:
        return [row["cause"] for row in csv.DictReader(io.StringIO(printed))]

    assert causes(run(event.id).stdout) == sold
    mine = run(event.id, "--user", user, "--seat", f"{event.id}-1")
    assert causes(mine.stdout) == ["held", "refreshed", "reserved", "cancelled"]
    unknown = run("k3v9x2m7qb")
    assert (unknown.returncode, unknown.stderr) == (1, "Error: There is no event with this id.\n")


def test_it_agrees_with_the_seats(brief: Store) -> None:
    """After a sale in which many do everything at once: each seat's changes follow from one another, lead to what it
    is, and name whoever has it."""
    event = brief.events.create("Opening night", 30)
    users = [str(uuid4()) for _ in range(12)]

    def buy(number: int) -> None:
        choose, user = random.Random(number), users[number]  # noqa: S311 - no secret
        buyer = Buyer(brief, user)
        for _ in range(60):
            seat = SeatId(event.id, choose.randint(1, 30))
            with suppress(ReservationError):
                act = choose.choice(["hold", "hold", "hold", "refresh", "release", "reserve", "cancel", "expire"])
                if act == "hold":
                    buyer.hold(seat)
                elif act == "reserve":
                    buyer.reserve(seat)
                elif act == "refresh":
                    brief.seats.refresh(seat, user)
                elif act == "release":
                    brief.seats.release(seat, user)
                elif act == "cancel":
                    brief.seats.cancel(seat, user, user)
                else:
                    brief.seats.release_due(event.id)

    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(buy, range(len(users))))

    def no_holds() -> bool:
        brief.seats.release_due(event.id)
        return not brief.client.zcard(keys.holds(event.id))

    wait_for(no_holds)
    trail = [entry for page in brief.audit.pages(event.id) for entry in page]
    assert [entry.sequence for entry in trail] == list(range(1, len(trail) + 1))
    assert {entry.cause for entry in trail} >= {"held", "reserved", "expired"}
    last: dict[str, AuditEntry] = {}
    for entry in trail:
        assert entry.before == (last[entry.seat].to if entry.seat in last else "Available"), entry
        last[entry.seat] = entry
    reserved = 0
    for number in range(1, 31):
        seat = brief.seats.get(SeatId(event.id, number))
        assert seat.status == (last[seat.id].to if seat.id in last else "Available")
        if seat.status == "Reserved":
            assert last[seat.id].actor == brief.audit.actor(event.id, seat.user)
            reserved += 1
    assert reserved
