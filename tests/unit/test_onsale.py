"""What the `onsale` demo checks finds what is wrong, and its receiver believes only what is signed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from reservation_cli.onsale import Watcher, hall
from reservation_cli.onsale_check import (
    Finding,
    Message,
    Owner,
    check_audit,
    check_feed,
    check_messages,
    check_owners,
    check_room,
)
from reservation_cli.onsale_receiver import Receiver, is_signed
from reservation_client import AuditEntry, Change, Seat, SeatMap

EVENT = "k3v9x2m7qa"
SECRET = "whsec_" + "A" * 32
STEPS = [
    (1, "Available", "On hold", "held", "ann"),
    (1, "On hold", "Reserved", "reserved", "ann"),
    (2, "Available", "On hold", "held", "bob"),
    (2, "On hold", "Reserved", "reserved", "bob"),
    (3, "Available", "On hold", "held", "bob"),
    (4, "Available", "On hold", "held", "cyd"),
    (4, "On hold", "Available", "released", "cyd"),
]
ENTRIES = [
    AuditEntry(sequence=number, seat=f"{EVENT}-{seat}", before=before, to=to, cause=cause, time=number, actor=actor)
    for number, (seat, before, to, cause, actor) in enumerate(STEPS, 1)
]
LETTERS = "RRHA"
TOLD = [Message(f"seat.{e.cause}", e.seat, e.sequence, e.actor) for e in ENTRIES if e.cause != "held"]


def owner(name: str, *seats: int) -> Owner:
    told = {f"{EVENT}-{seat}": f"r{seat}" for seat in seats}
    shown = [Seat(id=seat, event_id=EVENT, status="Reserved", reservation_id=r) for seat, r in told.items()]
    return Owner(name, told, shown)


ANN, BOB = owner("ann", 1), owner("bob", 2)


def test_nothing_is_wrong_where_all_agrees() -> None:
    """With a seat on hold, and one that was given back."""
    findings = [
        check_owners(LETTERS, EVENT, [ANN, BOB]),
        check_audit(LETTERS, ENTRIES, [ANN, BOB]),
        check_messages(TOLD[::-1], 0, ENTRIES),
        check_room({"a": 1_000, "b": 2_000, "c": 3_001}, 1_000, 60),
        check_feed(LETTERS, LETTERS, 7),
    ]
    assert [finding.wrong for finding in findings] == [[]] * 5


def _changed(number: int, **fields: object) -> list[AuditEntry]:
    return [replace(entry, **fields) if entry.sequence == number else entry for entry in ENTRIES]  # type: ignore[arg-type]  # fields are a test's


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (lambda: check_owners(LETTERS, EVENT, [ANN, owner("bob", 1, 2)]), "seat 1 has 2 owners: ann, bob"),
        (lambda: check_owners(LETTERS, EVENT, [ANN]), "seat 2 is R, and of nobody"),
        (lambda: check_owners(LETTERS, EVENT, [ANN, BOB, owner("cyd", 3)]), "seat 3 is H, and of cyd"),
        (lambda: check_owners(LETTERS, EVENT, [ANN, BOB, owner("cyd", 5)]), "there is no seat"),
        (lambda: check_owners(LETTERS, EVENT, [ANN, Owner("bob", BOB.told)]), "and was told of"),
        (lambda: check_audit(LETTERS, ENTRIES[1:], [ANN, BOB]), "is where 1 should be"),
        (lambda: check_audit("RRAA", ENTRIES, [ANN, BOB]), "seat 3 is A; the audit leaves it On hold"),
        (lambda: check_audit(LETTERS, _changed(4, before="Available"), [ANN, BOB]), "was Available and then Reserved"),
        (lambda: check_audit(LETTERS, _changed(4, to="Eaten"), [ANN, BOB]), "and then Eaten"),
        (lambda: check_audit(LETTERS, _changed(4, actor="ann"), [ANN, BOB]), "bob and ann are one actor"),
        (lambda: check_audit(LETTERS, _changed(4, actor=None), [ANN, BOB]), "bob is 1 actors"),
        (lambda: check_messages(TOLD[1:], 0, ENTRIES), "not told"),
        (lambda: check_messages([*TOLD, TOLD[0]], 0, ENTRIES), "told, and not so"),
        (lambda: check_messages([TOLD[0]._replace(actor=None), *TOLD[1:]], 0, ENTRIES), "told, and not so"),
        (lambda: check_messages(TOLD, 1, ENTRIES), "wrong signature"),
        (lambda: check_room({"a": 1_000}, 1_001, 60), "1 ms before the opening"),
        (lambda: check_room({"a": 1_000, "b": 1_998}, 1_000, 60), "too many came in by 1998"),
        (lambda: check_feed(LETTERS, "RRRA", 7), "seat 3 is H, and was seen as R"),
    ],
)
def test_what_does_not_agree_is_found(check: Callable[[], Finding], says: str) -> None:
    """Whatever it is."""
    assert any(says in line for line in check().wrong)


def test_a_watcher_sees_the_seats_change() -> None:
    """From where the last map left them."""
    watcher = Watcher()
    watcher.take(SeatMap(event=EVENT, sequence=4, server_time=0, free=2, held=0, reserved=2, seats="RRAA"))
    for entry in ENTRIES[4:]:
        watcher.take(Change(sequence=entry.sequence, seat=entry.seat, to=entry.to, cause=entry.cause, time=0))
    assert (watcher.letters, watcher.sequence, watcher.changes) == (LETTERS, 7, 3)


@pytest.mark.parametrize("seats", [10, 11, 40, 500, 9_999])
def test_a_hall_has_as_many_seats_as_are_on_sale(seats: int) -> None:
    """In three sections, whatever the number."""
    sections = hall(seats)
    rows = [row for section in sections for row in section["rows"]]
    assert sum(row["count"] * row["seats"] for row in rows) == seats
    assert [section["rank"] for section in sections] == [1, 2, 3]
    assert all(section["rows"] for section in sections)


def _signed(id_: str, body: str, when: datetime, secret: str = SECRET) -> dict[str, str]:
    signature = Webhook(secret).sign(id_, when, body)
    return {"webhook-id": id_, "webhook-timestamp": str(int(when.timestamp())), "webhook-signature": signature}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        running.secret = SECRET
        yield running


def test_what_is_signed_is_believed(receiver: Receiver) -> None:
    """Once for each id; of seats it is told."""
    body = '{"type": "seat.released", "data": {"event": "e", "seat": "e-1", "sequence": 3, "actor": "ann"}}'
    failed = '{"type": "job.failed", "data": {"event": "e", "seat": "e-1", "jobId": "e-j"}}'
    for id_, said in (("a", body), ("a", body), ("b", failed)):
        assert httpx.post(receiver.url, content=said, headers=_signed(id_, said, datetime.now(UTC))).status_code == 204
    assert receiver.messages() == [Message("seat.released", "e-1", 3, "ann")]
    assert (receiver.repeated, receiver.forged) == (1, 0)


def test_what_is_not_signed_is_not(receiver: Receiver) -> None:
    """By somebody else, changed on the way, or long ago."""
    now, body = datetime.now(UTC), '{"type": "seat.released"}'
    forgeries = [
        _signed("a", body, now, "whsec_" + "B" * 32),
        _signed("b", body, now),
        _signed("a", body + " ", now),
        _signed("a", body, now - timedelta(minutes=6)),
        {},
    ]
    forgeries[1]["webhook-id"] = "a"
    for headers in forgeries:
        assert httpx.post(receiver.url, content=body, headers=headers).status_code == 401
    assert receiver.forged == len(forgeries)
    assert not receiver.messages()


def test_a_signature_among_several_is_enough() -> None:
    """While a secret is changed there are two."""
    now = datetime.fromtimestamp(time.time(), UTC)
    headers = _signed("a", "{}", now)
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']}"
    assert is_signed(SECRET, headers, b"{}")
