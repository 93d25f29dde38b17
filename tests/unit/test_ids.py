"""Ids are checked before a key is built from them."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from reservation import keys
from reservation.errors import InvalidId
from reservation.ids import JobId, SeatId, new_event_id, parse_event_id, parse_uuid

EVENT = "k3v9x2m7qa"


def test_new_ids_parse() -> None:
    """What is made here is accepted here."""
    event = new_event_id()
    assert parse_event_id(event) == event
    job = JobId.new(event)
    assert JobId.parse(str(job)) == job


def test_no_id_is_given_twice() -> None:
    """Whoever asks, and however many: they are made in advance, thousands at once."""
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [JobId.new(EVENT) for _ in range(2_000)], range(8)))
    ids = [job for each in made for job in each]
    assert len(set(ids)) == 16_000
    assert all(JobId.parse(str(job)) == job for job in ids)


def test_each_letter_of_an_id_is_as_likely_as_every_other() -> None:
    """By chi squared over 36 letters and digits, which exceeds 100 once in ten million runs."""
    counts = Counter("".join(JobId.new(EVENT).token for _ in range(4_000)))
    expected = 4_000 * 25 / 36
    assert len(counts) == 36
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 100


@pytest.mark.parametrize("text", ["1", "12", "10000"])
def test_seat_ids_parse(text: str) -> None:
    """A seat id is its event's id and its number."""
    assert SeatId.parse(f"{EVENT}-{text}") == SeatId(EVENT, int(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        EVENT,
        f"{EVENT}-",
        f"{EVENT}-0",
        f"{EVENT}-01",
        f"{EVENT}-10001",
        f"{EVENT}-99999",
        f"{EVENT}--1",
        f"{EVENT}-1-1",
        f"{EVENT}-1\n",
        f"{EVENT}-١",
        f"{EVENT.upper()}-1",
        "short-1",
        "k3v9x2m7qa}x-1",
        "{k3v9x2m7q}-1",
        "k3v9x2m7qa:seats-1",
    ],
)
def test_other_texts_are_no_seat_ids(text: str) -> None:
    """Nothing else names a seat, and nothing else gets into a key."""
    with pytest.raises(InvalidId):
        SeatId.parse(text)


@pytest.mark.parametrize("text", ["", EVENT, f"{EVENT}-abc", f"{EVENT}-{'a' * 24}", f"{EVENT}-{'A' * 25}"])
def test_other_texts_are_no_job_ids(text: str) -> None:
    """A job's token has 25 lower-case letters and digits."""
    with pytest.raises(InvalidId):
        JobId.parse(text)


def test_uuids_are_lower_case() -> None:
    """Two spellings of a user would be two users."""
    assert parse_uuid("0B9F5A52-7C1E-4F0B-9D3E-2F6A1C8E4D70") == "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"


@pytest.mark.parametrize(
    "text",
    [
        "0b9f5a527c1e4f0b9d3e2f6a1c8e4d70",
        "{0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70}",
        "urn:uuid:0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70",
        "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d7",
        "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70 ",
        "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70\n",
        "0b9f5a52_7c1e_4f0b_9d3e_2f6a1c8e4d70",
        "zb9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70",
    ],
)
def test_odd_spellings_of_a_uuid_are_refused(text: str) -> None:
    """Only the spelling with four hyphens (RFC 9562, section 4)."""
    with pytest.raises(InvalidId):
        parse_uuid(text)


def test_keys_of_an_event_share_its_hash_tag() -> None:
    """So they sit in one Redis Cluster slot, and a script may change them together."""
    seat, job = SeatId(EVENT, 7), JobId(EVENT, "a" * 25)
    names = [*keys.user_keys(EVENT, "u"), *keys.seat_keys([seat]), keys.job(job), keys.jobs(EVENT), keys.seats(EVENT)]
    assert {name[name.index("{") : name.index("}") + 1] for name in names} == {"{" + EVENT + "}"}


@pytest.mark.parametrize(
    ("channel", "seat"),
    [
        ("__keyspace@0__:seat:{k3v9x2m7qa}-7:lock", SeatId(EVENT, 7)),
        ("__keyspace@0__:seat:{k3v9x2m7qa}-7", None),
        ("__keyspace@0__:job:{k3v9x2m7qa}-7:lock", None),
        ("__keyspace@0__:seat:{k3v9x2m7qa}-x:lock", None),
        ("nonsense", None),
    ],
)
def test_a_notification_names_its_seat(channel: str, seat: SeatId | None) -> None:
    """Only a lock's does."""
    assert keys.seat_of_lock(channel) == seat
