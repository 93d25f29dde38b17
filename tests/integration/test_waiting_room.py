"""Waiting rooms: who is admitted when, and that nobody holds a seat without."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any, cast
from uuid import uuid4

import jwt
import pytest
from falcon import testing
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from reservation import keys
from reservation.codes import Code
from reservation.errors import AdmissionRequired, NotFound, QueueFull, SalesNotOpen
from reservation.ids import JobId, SeatId, TicketId, new_event_id
from reservation.models import Event, WaitingRoom
from reservation.rooms import Rooms
from reservation.scripts import source
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import expiry_ms, wait_for
from tests.web import JSON, JWT, bearer, post, problem

HOUR_MS = 3_600_000
ROOM = WaitingRoom(admit_per_minute=60, admission_ttl=600)


def now_ms(store: Store) -> int:
    seconds, micros = cast(Any, store.client.time())
    return int(seconds * 1000 + micros // 1000)


def opening(store: Store, in_ms: int, room: WaitingRoom | None = ROOM) -> Event:
    """An event whose sales open in so many milliseconds, or did before."""
    return store.events.create("Opening night", 20, opens_at=now_ms(store) + in_ms, room=room)


def open_since(store: Store, event: Event, ms: int) -> int:
    """Has an event's sales opened so many ms ago; returns when, epoch ms."""
    opened = now_ms(store) - ms
    store.client.hset(keys.event(event.id), "opensAt", opened)
    return opened


def users(number: int) -> list[str]:
    return [str(uuid4()) for _ in range(number)]


def hold(store: Store, event: Event, user: str, admission: str = "", seat: int = 1) -> None:
    store.seats.accept_hold(SeatId(event.id, seat), user, JobId.new(event.id), admission=admission)


def ticket_id(event: Event, token: str) -> TicketId:
    return TicketId.parse(event.id, token)


# --- When sales open -----------------------------------------------------------------------------


def test_no_seat_is_held_before_sales_open(store: Store, user: str) -> None:
    """By the server's clock, and the refusal says when; from then on it is held."""
    event = opening(store, 60_000, room=None)
    with pytest.raises(SalesNotOpen) as refused:
        hold(store, event, user)
    assert refused.value.opens_at == event.opens_at
    assert 59_000 < refused.value.left_ms <= 60_000
    assert refused.value.retry_after_s == 60
    assert store.client.zcard(keys.jobs(event.id)) == 0
    open_since(store, event, 0)
    hold(store, event, user)


def test_an_opening_in_the_past_is_open(store: Store, user: str) -> None:
    event = opening(store, -1, room=None)
    hold(store, event, user)


# --- Tickets -------------------------------------------------------------------------------------


def test_who_is_early_is_shuffled_at_the_opening(store: Store) -> None:
    """Until then nobody has a place; then each has another, and the slots are one interval apart."""
    event = opening(store, 60_000)
    people = users(10)
    tickets = [store.rooms.draw(event.id, user).ticket for user in people]
    assert {ticket.status for ticket in tickets} == {"early"}
    assert {(ticket.place, ticket.admitted_at, ticket.admission) for ticket in tickets} == {(None, None, None)}
    assert tickets[-1].estimated_wait_time == 65  # until the opening, and half of the others
    opened = open_since(store, event, 2_500)
    found = [store.rooms.read(ticket_id(event, ticket.ticket)).ticket for ticket in tickets]
    assert sorted(ticket.admitted_at or 0 for ticket in found) == [opened + n * 1_000 for n in range(10)]
    in_order = sorted(found, key=lambda ticket: ticket.admitted_at or 0)
    assert [ticket.status for ticket in in_order] == ["admitted"] * 3 + ["waiting"] * 7
    assert [ticket.place for ticket in in_order[3:]] == list(range(7))
    assert [ticket.ticket for ticket in in_order] == store.client.zrange(keys.early(event.id), 0, -1)


def test_the_shuffle_is_by_numbers_that_nobody_knows(store: Store) -> None:
    """Fifty bits of them each; from the system's source unless a test brings its own."""
    asked: list[int] = []
    numbers = iter([3, 2**50 - 1, 0, 2**49])

    def draw_bits(bits: int) -> int:
        asked.append(bits)
        return next(numbers)

    rooms, event = Rooms(store.scripts, draw_bits=draw_bits), opening(store, 60_000)
    tickets = [rooms.draw(event.id, user).ticket.ticket for user in users(4)]
    assert asked == [50] * 4
    opened = open_since(store, event, 0)
    slots = [rooms.read(ticket_id(event, ticket)).ticket.admitted_at for ticket in tickets]
    assert slots == [opened + n * 1_000 for n in (1, 3, 0, 2)]


def test_later_ones_follow_in_order(store: Store) -> None:
    """Behind those who were early, one interval apart."""
    event = opening(store, 60_000)
    for user in users(3):
        store.rooms.draw(event.id, user)
    opened = open_since(store, event, 500)
    later = [store.rooms.draw(event.id, user).ticket for user in users(4)]
    assert [ticket.admitted_at for ticket in later] == [opened + n * 1_000 for n in (3, 4, 5, 6)]
    assert [ticket.place for ticket in later] == [2, 3, 4, 5]
    assert [ticket.estimated_wait_time for ticket in later] == [3, 4, 5, 6]


def test_capacity_that_nobody_used_does_not_pile_up(store: Store) -> None:
    """After a quiet minute it is still one a second."""
    event = opening(store, -60_000)
    first, second, third = (store.rooms.draw(event.id, user).ticket for user in users(3))
    assert (first.status, second.status, third.status) == ("admitted", "waiting", "waiting")
    assert (second.admitted_at or 0) - (first.admitted_at or 0) == 1_000
    assert (third.admitted_at or 0) - (second.admitted_at or 0) == 1_000
    assert (second.place, third.place) == (0, 1)


def test_a_room_without_an_opening_is_open_from_its_creation(store: Store, user: str) -> None:
    event = store.events.create("Opening night", 10, room=ROOM)
    assert store.rooms.draw(event.id, user).ticket.status == "admitted"


@pytest.mark.parametrize("opens_in_ms", [60_000, -60_000])
def test_a_user_has_one_ticket(store: Store, user: str, opens_in_ms: int) -> None:
    """However many ask at once for the same user; the others have theirs."""
    event = opening(store, opens_in_ms)
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: store.rooms.draw(event.id, user), range(10)))
    assert len({standing.ticket.ticket for standing in found}) == 1
    assert sum(standing.drawn for standing in found) == 1
    if opens_in_ms > 0:
        assert store.client.zcard(keys.early(event.id)) == 1
    other = store.rooms.draw(event.id, str(uuid4())).ticket
    assert other.ticket != found[0].ticket.ticket
    if opens_in_ms < 0:
        assert other.place == 0  # nine of the ten took no slot


def test_a_ticket_says_nothing_of_user_or_other_events(store: Store, user: str) -> None:
    """It is made with the event's secret: nobody can tell it from a user's UUID."""
    one, another = opening(store, 60_000), opening(store, 60_000)
    assert store.rooms.draw(one.id, user).ticket.ticket != store.rooms.draw(another.id, user).ticket.ticket
    secrets = {store.client.hget(keys.event(event.id), "roomKey") for event in (one, another)}
    assert len(secrets) == 2
    assert all(len(bytes.fromhex(str(secret))) == 32 for secret in secrets)


def test_nobody_counts_as_early_once_the_room_was_open(store: Store) -> None:
    """A clock that goes back, as after a failover, takes nobody's place away: who comes then is later."""
    event = opening(store, 60_000)
    early = store.rooms.draw(event.id, str(uuid4())).ticket
    open_since(store, event, 10)
    slot = store.rooms.read(ticket_id(event, early.ticket)).ticket.admitted_at
    store.client.hset(keys.event(event.id), "opensAt", now_ms(store) + 60_000)
    late = store.rooms.draw(event.id, str(uuid4())).ticket
    assert late.status == "waiting"
    again = store.rooms.read(ticket_id(event, early.ticket)).ticket
    assert (again.status, again.admitted_at) == ("admitted", slot)


def test_a_room_has_its_bound(store: Store) -> None:
    """Beyond so many that wait, the next is told to come again; who has a ticket keeps it."""
    rooms = Rooms(store.scripts, most=3)
    for opens_in_ms in (60_000, -60_000):
        event = opening(store, opens_in_ms)
        # Of those drawn after the opening one waits no more.
        people = users(3 if opens_in_ms > 0 else 4)
        drawn = [rooms.draw(event.id, user).ticket.ticket for user in people]
        with pytest.raises(QueueFull) as refused:
            rooms.draw(event.id, str(uuid4()))
        assert refused.value.limit == 3
        assert [rooms.draw(event.id, user).ticket.ticket for user in people] == drawn


def test_there_is_no_ticket_where_there_is_no_room(store: Store, event: Event, user: str) -> None:
    with pytest.raises(NotFound, match="no waiting room"):
        store.rooms.draw(event.id, user)
    with pytest.raises(NotFound, match="no event"):
        store.rooms.draw("nosuchevent", user)
    with pytest.raises(NotFound):
        store.rooms.read(TicketId(event.id, "a" * 25))
    room = opening(store, -1)
    with pytest.raises(NotFound):
        store.rooms.read(TicketId(room.id, "a" * 25))


# --- What is kept, and for how long --------------------------------------------------------------


def test_what_a_ticket_takes_goes_by_itself(store: Store, user: str, other: str) -> None:
    """With the admission, or an hour after its slot; before the opening, once even the last of a million were in."""
    event = opening(store, 60_000)
    early = ticket_id(event, store.rooms.draw(event.id, user).ticket.ticket)
    latest = (event.opens_at or 0) + 1_000_000 * 1_000 + HOUR_MS
    for key in (keys.early(event.id), keys.ticket(early)):
        assert abs(expiry_ms(store, key) - latest) <= 2
    opened = open_since(store, event, 0)
    late = ticket_id(event, store.rooms.draw(event.id, other).ticket.ticket)
    assert abs(expiry_ms(store, keys.early(event.id)) - (opened + 1_000 + HOUR_MS)) <= 2
    assert abs(expiry_ms(store, keys.ticket(late)) - (opened + 1_000 + HOUR_MS)) <= 2
    ends = store.rooms.read(early).ticket.admission_expires_at
    assert ends is not None
    assert abs(expiry_ms(store, keys.ticket(early)) - ends) <= 2
    found = set(store.client.scan_iter(f"*{event.id}*"))
    seats = {keys.seat(SeatId(event.id, n)) for n in range(1, 21)}
    own = {keys.event(event.id), keys.seats(event.id), keys.available(event.id)}
    assert found - seats - own == {keys.early(event.id), keys.ticket(early), keys.ticket(late)}


def test_a_slot_that_nobody_came_for_lapses(store: Store, user: str) -> None:
    """An hour later the user joins at the end."""
    event = opening(store, 60_000)
    ticket = ticket_id(event, store.rooms.draw(event.id, user).ticket.ticket)
    open_since(store, event, HOUR_MS)
    with pytest.raises(NotFound):
        store.rooms.read(ticket)
    again = store.rooms.draw(event.id, user)
    assert again.drawn
    assert again.ticket.status == "admitted"
    assert abs((again.ticket.admitted_at or 0) - now_ms(store)) < 5_000


# --- Admissions ----------------------------------------------------------------------------------


def admitted(store: Store, event: Event, user: str) -> str:
    admission = store.rooms.draw(event.id, user).ticket.admission
    assert admission is not None
    return admission


def test_a_hold_needs_an_admission(store: Store, user: str, other: str) -> None:
    """One's own, for this event, unaltered."""
    event, elsewhere = opening(store, -1), opening(store, -1)
    mine, foreign = admitted(store, event, user), admitted(store, elsewhere, user)
    waiting = store.rooms.draw(event.id, other).ticket
    assert waiting.admission is None
    head, claims, signature = mine.split(".")
    unsigned = jwt.encode({"aud": event.id, "sub": user, "exp": 4_000_000_000}, "", algorithm="none")
    for wrong in ("", "x", "..", foreign, f"{head}.{claims}.{signature[::-1]}", unsigned, "a" * 10_000):
        with pytest.raises(AdmissionRequired) as refused:
            hold(store, event, user, wrong)
        assert refused.value.fields == {"queueEndpoint": f"/events/{event.id}/queue"}
    with pytest.raises(AdmissionRequired):
        hold(store, event, other, mine)
    hold(store, event, user, mine)


def test_an_admission_ends_by_the_servers_clock(store: Store, user: str) -> None:
    """Whole seconds after it was handed out first, and asking again does not prolong it."""
    event = opening(store, -1)
    admission = admitted(store, event, user)
    ticket = store.rooms.draw(event.id, user).ticket
    assert ticket.admission == admission
    ends = ticket.admission_expires_at
    assert ends is not None
    assert ceil(ticket.server_time / 1000) + 599 <= ends / 1000 <= ceil(ticket.server_time / 1000) + 600
    assert store.rooms.admitted_until(event.id, user, admission) == ends

    brief = store.events.create("Opening night", 10, room=WaitingRoom(admit_per_minute=60_000, admission_ttl=10))
    short = admitted(store, brief, user)
    # What it says is over now; the key is the same.
    claims = jwt.decode(short, options={"verify_signature": False})
    key = store.rooms._admission_key(brief.id)
    over = jwt.encode({**claims, "exp": now_ms(store) // 1000}, key, algorithm="HS256")
    with pytest.raises(AdmissionRequired):
        hold(store, brief, user, over)
    hold(store, brief, user, jwt.encode({**claims, "exp": now_ms(store) // 1000 + 5}, key, algorithm="HS256"))


def test_whose_admission_is_over_joins_again(store: Store, user: str) -> None:
    """At the end, under the same ticket."""
    event = opening(store, -1)
    first = store.rooms.draw(event.id, user).ticket
    store.client.pexpire(keys.ticket(ticket_id(event, first.ticket)), 1)
    wait_for(lambda: not store.client.exists(keys.ticket(ticket_id(event, first.ticket))))
    with pytest.raises(NotFound):
        store.rooms.read(ticket_id(event, first.ticket))
    second = store.rooms.draw(event.id, user)
    assert second.drawn
    assert second.ticket.ticket == first.ticket
    assert (second.ticket.admitted_at or 0) - (first.admitted_at or 0) >= 1_000


def test_a_slot_that_has_come_is_collected_late(store: Store, user: str) -> None:
    """Who looks half an hour after the slot has the whole time from then."""
    event = opening(store, 60_000)
    early = ticket_id(event, store.rooms.draw(event.id, user).ticket.ticket)
    open_since(store, event, HOUR_MS // 2)
    found = store.rooms.read(early).ticket
    assert found.status == "admitted"
    assert (found.admission_expires_at or 0) - found.server_time > 599_000
    hold(store, event, user, found.admission or "")


def test_a_failed_hold_is_repeated_without_an_admission(store: Store, user: str) -> None:
    """Its user had one when it was accepted."""
    event = opening(store, -1)
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job, admission=admitted(store, event, user))
    store.seats.fail(seat, user, job, Code.INTERNAL_ERROR)
    store.seats.accept_hold(seat, user, JobId.new(event.id), retry_of=job)


# --- Slots, whatever the clock does --------------------------------------------------------------

#: A time that no test lives to see: what the scripts let expire is there until the end of it.
BASE_US = 3_900_000_000_000_000
_CLOCK = "local time = redis.call('TIME')"


class Room:
    """The room's scripts by a clock of the test's own, epoch µs from BASE_US on."""

    def __init__(self, store: Store, rate: int, opens_us: int) -> None:
        self.client = store.client
        self.event = new_event_id()
        self.client.hset(
            keys.event(self.event),
            mapping={
                "createdAt": BASE_US // 1000,
                "opensAt": (BASE_US + opens_us) // 1000,
                "admitPerMinute": rate,
                "admissionTtl": 600,
            },
        )
        self.numbers = itertools.count(1)
        self.draw_script, self.read_script = (
            self.client.register_script(source(name).replace(_CLOCK, "local time = {ARGV[#ARGV - 1], ARGV[#ARGV]}"))
            for name in ("draw_ticket", "read_ticket")
        )

    def draw(self, who: int, at_us: int) -> list[Any]:
        number = (next(self.numbers) * 0x9E3779B97F4A7C15) % 2**50
        return self._run(self.draw_script, who, at_us, f"user-{who}", number, 1_000_000)

    def read(self, who: int, at_us: int) -> list[Any]:
        return self._run(self.read_script, who, at_us)

    def _run(self, script: Any, who: int, at_us: int, *arguments: Any) -> list[Any]:
        token = f"{who:025d}"
        clock = divmod(BASE_US + at_us, 1_000_000)
        reply = script(keys=keys.room_keys(TicketId(self.event, token)), args=[token, *arguments, *clock])
        return cast("list[Any]", reply)

    def slot(self, who: int) -> int | None:
        found = self.client.hget(keys.ticket(TicketId(self.event, f"{who:025d}")), "slot")
        return None if found is None else int(cast(str, found)) - BASE_US


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["draw", "draw", "draw", "read"]), st.integers(0, 12), st.integers(-2_000_000, 3_000_000)
    ),
    min_size=1,
    max_size=40,
)


@bounded(deadline=None, max_examples=150)
@given(rate=st.integers(1, 60_000), opens_us=st.integers(0, 20).map(lambda s: s * 1_000_000), steps=STEPS)
def test_slots_keep_the_rate_whatever_the_clock_does(
    slot_store: Store, rate: int, opens_us: int, steps: list[tuple[str, int, int]]
) -> None:
    """Drawn and read in any order, with a clock that may go back: nobody has two slots, or another than before, no two
    are nearer than the rate allows, later ones come in order, and nobody waits for longer than those before need."""
    room, interval = Room(slot_store, rate, opens_us), ceil(60_000_000 / rate)
    known: dict[int, int] = {}
    ends: dict[int, int] = {}
    in_order: list[int] = []
    drawn: set[int] = set()
    at_us = latest = 0
    for do, who, step_us in steps:
        at_us = max(0, at_us + step_us)
        latest = max(latest, at_us)
        reply = room.draw(who, at_us) if do == "draw" else room.read(who, at_us)
        if who not in drawn and do == "read":
            assert reply[0] == Code.TICKET_UNKNOWN
            continue
        assert reply[:1] == [Code.OK]
        assert reply[2] == int(who not in drawn)
        slot = room.slot(who)
        if slot is None:
            assert reply[4] == -1
            assert latest < opens_us
        else:
            assert known.setdefault(who, slot) == slot
            if who not in drawn:
                in_order.append(slot)
                assert slot >= at_us
                assert slot <= max(at_us, latest, opens_us) + len(drawn) * interval
            assert (reply[6] > 0) >= (slot <= at_us)
            if reply[6]:
                assert ends.setdefault(who, reply[6]) == reply[6]
        drawn.add(who)
    end_us = max(latest, opens_us)
    for who in drawn:
        room.read(who, end_us)
        slot = room.slot(who)
        assert slot is not None
        assert known.setdefault(who, slot) == slot
    slots = sorted(known.values())
    assert all(after - before >= interval for before, after in itertools.pairwise(slots))
    assert in_order == sorted(in_order)
    early = sorted(set(slots) - set(in_order))
    assert early == [opens_us + n * interval for n in range(len(early))]


@pytest.fixture(scope="module")
def slot_store(redis_server: Any) -> Any:
    """For the property, whose examples have an event each."""
    store = Store.connect(Settings(_env_file=None, redis_url=redis_server.url()), connections=2)  # type: ignore[call-arg]  # as in conftest
    yield store
    store.servers.close()


def test_an_admission_begins_with_the_first_look(store: Store) -> None:
    """A minute after the slot, and ends ten minutes later, however often one looks; at whole seconds."""
    room = Room(store, 60, 10_000_000)
    room.draw(1, 0)
    found = [room.read(1, at_us)[6] for at_us in (70_000_001, 300_000_000, 600_000_000)]
    assert found == [BASE_US // 1_000_000 + 670] * 3


def test_places_count_those_before(store: Store) -> None:
    """0 is next, and there is a place for each that waits."""
    room = Room(store, 60, 10_000_000)
    for who in range(5):
        assert room.draw(who, 0)[4] == -1
    for who in range(5, 8):
        room.draw(who, 10_000_000)
    found = [room.read(who, 10_500_000) for who in range(8)]
    assert sorted(reply[4] for reply in found if reply[6] == 0) == list(range(7))
    assert {reply[7] for reply in found} == {7}


# --- Over HTTP -----------------------------------------------------------------------------------


def create(client: testing.TestClient, **terms: Any) -> testing.Result:
    return post(client, "/events/create", {"name": "Opening night", "totalSeats": 10, **terms})


def test_an_event_says_when_it_opens_and_how_it_is_entered(client: testing.TestClient, store: Store) -> None:
    """Created, read and listed; one that has neither does not mention them."""
    opens = now_ms(store) + 60_000
    made = create(client, opensAt=opens, waitingRoom={"admitPerMinute": 600})
    assert made.status_code == 201
    assert made.json["opensAt"] == opens
    assert made.json["waitingRoom"] == {"admitPerMinute": 600, "admissionTtl": 600}
    assert client.simulate_get(f"/events/{made.json['id']}").json == made.json
    own = create(client, waitingRoom={"admitPerMinute": 1, "admissionTtl": 30}).json
    assert own["waitingRoom"] == {"admitPerMinute": 1, "admissionTtl": 30}
    plain = create(client).json
    listed = client.simulate_get("/events").json["events"]
    assert [event.get("waitingRoom") for event in listed] == [None, own["waitingRoom"], made.json["waitingRoom"]]
    assert [event.get("opensAt") for event in listed] == [None, None, opens]
    for event in (plain, listed[0]):
        assert {"opensAt", "waitingRoom"}.isdisjoint(event)
    assert "roomKey" not in made.text


@pytest.mark.parametrize(
    "terms",
    [
        {"opensAt": 1_795_862_743},
        {"opensAt": 1_795_862_743_953_000},
        {"opensAt": "1795862743953"},
        {"opensAt": 1_795_862_743_953.0},
        {"opensAt": None},
        {"waitingRoom": None},
        {"waitingRoom": {"admitPerMinute": 600, "admissionTtl": None}},
        {"waitingRoom": {}},
        {"waitingRoom": 600},
        {"waitingRoom": {"admitPerMinute": 0}},
        {"waitingRoom": {"admitPerMinute": 60_001}},
        {"waitingRoom": {"admitPerMinute": 600, "admissionTtl": 9}},
        {"waitingRoom": {"admitPerMinute": 600, "admissionTtl": 86_401}},
        {"waitingRoom": {"admitPerMinute": 600, "more": 1}},
    ],
)
def test_what_cannot_be_is_refused(client: testing.TestClient, terms: dict[str, Any]) -> None:
    """Seconds and microseconds too, which would be 1970 or never."""
    problem(create(client, **terms), 422, "invalid-request")


def test_a_key_is_for_one_opening(client: testing.TestClient, store: Store) -> None:
    """The terms of the sale are part of what a request says."""
    opens, key = now_ms(store) + 60_000, {"Idempotency-Key": "k1"}
    body = {"name": "Opening night", "totalSeats": 10, "opensAt": opens, "waitingRoom": {"admitPerMinute": 5}}
    first = post(client, "/events/create", body, **key)
    again = post(client, "/events/create", body, **key)
    assert again.json == first.json
    assert again.headers["idempotency-replayed"] == "true"
    other = {**body, "opensAt": opens + 1}
    problem(post(client, "/events/create", other, **key), 422, "idempotency-key-reused")


def test_a_ticket_is_drawn_followed_and_used(client: testing.TestClient, store: Store, user: str, other: str) -> None:
    """201 with where it is read; Retry-After until it is admitted; then holds are accepted."""
    event = create(client, opensAt=now_ms(store) + 60_000, waitingRoom={"admitPerMinute": 60}).json["id"]
    queue = f"/events/{event}/queue"
    seat = {"id": f"{event}-1", "UUID": user}
    refused = post(client, "/seats/hold", seat)
    problem(refused, 409, "sales-not-open")
    assert refused.json["retryable"] is True
    assert refused.json["opensAt"] - refused.json["serverTime"] <= 60_000
    assert 59 <= int(refused.headers["retry-after"]) <= 60

    made = post(client, queue, {"UUID": user.upper()})
    assert made.status_code == 201
    assert made.headers["location"] == made.json["statusEndpoint"] == f"{queue}/{made.json['ticket']}"
    assert made.headers["cache-control"] == "no-store"
    assert int(made.headers["retry-after"]) >= 1
    assert set(made.json) == {"ticket", "event", "status", "estimatedWaitTime", "serverTime", "statusEndpoint"}
    again = post(client, queue, {"UUID": user})
    assert (again.status_code, again.json["ticket"]) == (200, made.json["ticket"])
    store.client.hset(keys.event(event), "opensAt", now_ms(store) - 1)
    problem(post(client, "/seats/hold", seat), 403, "admission-required")
    found = client.simulate_get(made.json["statusEndpoint"])
    assert found.json["status"] == "admitted"
    assert "retry-after" not in found.headers
    second = post(client, queue, {"UUID": other})
    assert (second.json["status"], second.json["place"], second.headers["retry-after"]) == ("waiting", 0, "1")

    admission = {"Admission": found.json["admission"]}
    key = {"Idempotency-Key": "k1"}
    problem(post(client, "/seats/hold", {**seat, "UUID": other}, **admission, **key), 403, "admission-required")
    # What was refused for want of an admission is not remembered.
    problem(post(client, "/seats/hold", seat, **key), 403, "admission-required")
    held = post(client, "/seats/hold", seat, **admission, **key)
    assert held.status_code == 202
    assert post(client, "/seats/hold", seat, **key).json == held.json


def test_an_admission_where_there_is_no_room_changes_nothing(client: testing.TestClient, user: str) -> None:
    event = create(client).json["id"]
    seat = {"id": f"{event}-1", "UUID": user}
    assert post(client, "/seats/hold", seat, Admission="what").status_code == 202


def test_a_token_says_whose_ticket_it_is(make_client: Callable[..., testing.TestClient], store: Store) -> None:
    """With tokens: nobody draws without, or for somebody else; who has the ticket reads it without."""
    client = make_client(**JWT)
    event = opening(store, -1).id
    me, somebody = str(uuid4()), str(uuid4())
    queue = f"/events/{event}/queue"
    problem(post(client, queue, {}), 401, "token-missing")
    problem(post(client, queue, {"UUID": somebody}, **bearer(me)), 403, "user-mismatch")
    made = post(client, queue, {}, **bearer(me))
    assert made.json["status"] == "admitted"
    assert client.simulate_get(made.json["statusEndpoint"]).json["admission"] == made.json["admission"]
    seat, admission = {"id": f"{event}-1"}, {"Admission": made.json["admission"]}
    problem(post(client, "/seats/hold", seat, **bearer(somebody), **admission), 403, "admission-required")
    assert post(client, "/seats/hold", seat, **bearer(me), **admission).status_code == 202


def test_wrong_paths_and_bodies(client: testing.TestClient, store: Store, event: Event, user: str) -> None:
    """A malformed id is 404 in a path, a missing or malformed UUID 422."""
    room = opening(store, -1).id
    for path in (f"/events/{event.id}/queue", "/events/nosuchevent/queue", "/events/x/queue"):
        problem(post(client, path, {"UUID": user}), 404, "not-found")
    for ticket in ("x", "A" * 25, "a" * 25):
        problem(client.simulate_get(f"/events/{room}/queue/{ticket}"), 404, "not-found")
    for body in ({}, {"UUID": "x"}, {"UUID": user, "more": 1}):
        problem(post(client, f"/events/{room}/queue", body), 422, "invalid-request")
    problem(client.simulate_post(f"/events/{room}/queue", body="{", headers=JSON), 400, "malformed-json")
