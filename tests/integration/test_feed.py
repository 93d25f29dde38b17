"""The live feed: real processes, real connections."""

import os
import random
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest

from reservation import keys
from reservation.ids import SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from tests.conftest import Buyer, one_server
from tests.e2e.conftest import Process, free_port
from tests.integration.conftest import change_as_later_version
from tests.waiting import wait_for
from tests.watching import watching

API_PORT = 3999


class Stream:
    """`reservation stream` on the test's server."""

    def __init__(self, folder: Path, settings: Settings, **environment: str) -> None:
        self.port = free_port()
        self.process = Process(
            "stream",
            cwd=folder,
            REDIS_URL=settings.state_url,
            STREAM_PORT=str(self.port),
            PORT=str(API_PORT),
            **environment,
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=35)
        self.process.wait_for_line("serving the feed")

    def of(self, event: Event, kind: str = "stream") -> str:
        return f"http://127.0.0.1:{self.port}/events/{event.id}/{kind}"

    def close(self) -> None:
        self.http.close()
        if self.process.process.poll() is None:
            self.process.stop()


@pytest.fixture
def make_stream(settings: Settings) -> Iterator[Callable[..., Stream]]:
    streams: list[Stream] = []
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:

        def make(**environment: str) -> Stream:
            streams.append(Stream(Path(folder), settings, **environment))
            return streams[-1]

        yield make
        for stream in streams:
            stream.close()


@pytest.fixture(scope="module")
def stream(redis_server: Any) -> Iterator[Stream]:
    """One for the module's tests, each of which makes events of its own."""
    settings = Settings(_env_file=None, redis_url=redis_server.url())  # type: ignore[call-arg]  # pydantic-settings takes more than mypy sees
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        running = Stream(Path(folder), settings)
        yield running
        running.close()


def _seats(store: Store, event: Event) -> tuple[int, list[str]]:
    """The last change, and the seats as the API has them."""
    seats = store.events.seat_map(event.id)[1]
    assert seats is not None
    return seats.sequence, list(seats.seats)


def test_all_seats_come_first_and_then_every_change(stream: Stream, store: Store, event: Event, buyer: Buyer) -> None:
    """As they happen, each with its number as the event's id."""
    buyer.hold(SeatId(event.id, 3))
    with watching(stream.of(event)) as watch:
        wait_for(lambda: bool(watch.told))
        counts = {"free", "held", "reserved", "blocked"}
        assert watch.told[0].data.keys() == {"event", "sequence", "serverTime", *counts, "seats"}
        assert watch.seats == list("AAH" + "A" * 17)
        buyer.reserve(SeatId(event.id, 3))
        buyer.hold(SeatId(event.id, 4))
        store.seats.release(SeatId(event.id, 4), buyer.user)
        watch.wait_for(4)
        assert [told.data.get("cause") for told in watch.told] == [None, "reserved", "held", "released"]
        assert watch.seats == list("AAR" + "A" * 17)


def test_nobody_is_told_who_did_it(stream: Stream, store: Store, event: Event, buyer: Buyer) -> None:
    """Neither the user nor anything that leads there."""
    buyer.hold(SeatId(event.id, 3))
    (entry,) = cast(Any, store.client.xrange(keys.changes(event.id)))
    with watching(stream.of(event), Last_Event_ID="0") as watch:
        watch.wait_for(1)
        assert watch.told[0].data.keys() == {"sequence", "seat", "from", "to", "cause", "time"}
    body = stream.http.get(f"/events/{event.id}/changes", params={"since": 0}).text
    for secret in (buyer.user, entry[1]["actor"], entry[1]["job"]):
        assert secret
        assert secret not in body
        assert all(secret not in str(told) for told in watch.told)


def test_there_is_no_gap_and_no_repeat_whenever_one_begins(stream: Stream, store: Store) -> None:
    """While seats change without pause, watchers come, with and without something known. Each knows the seats as they
    are, in the end; `Watch` checks that it was told each change once."""
    event = store.events.create("Opening night", 200)
    stop = threading.Event()

    def change(seed: int) -> None:
        dice, own = random.Random(seed), Buyer(store, str(uuid4()))  # noqa: S311 - no secret
        while not stop.is_set():
            seat = SeatId(event.id, dice.randrange(seed * 20 + 1, seed * 20 + 6))
            own.hold(seat)
            if dice.random() < 0.7:
                store.seats.release(seat, own.user)

    threads = [threading.Thread(target=change, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    watches = []
    try:
        for number in range(30):
            known = {} if number % 2 else {"Last_Event_ID": str(max(0, _seats(store, event)[0] - 5))}
            watch = watching(stream.of(event), **known)
            watches.append((watch, watch.__enter__()))
        wait_for(lambda: all(len(watch.told) > 20 for _, watch in watches), 30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    sequence, seats = _seats(store, event)
    for context, told in watches:
        told.wait_for(sequence)
        assert not told.seats or told.seats == seats
        context.__exit__(None, None, None)


def test_one_that_comes_back_is_told_what_it_missed(stream: Stream, store: Store, event: Event, buyer: Buyer) -> None:
    """And is not sent all seats again."""
    for number in (1, 2, 3):
        buyer.hold(SeatId(event.id, number))
    with watching(stream.of(event), Last_Event_ID="1") as watch:
        watch.wait_for(3)
        assert watch.names() == ["change", "change"]
    with watching(f"{stream.of(event)}?since=2") as watch:
        watch.wait_for(3)
        assert watch.names() == ["change"]


def test_where_nothing_was_missed_a_heartbeat_says_so(stream: Stream, event: Event, buyer: Buyer) -> None:
    """At once: it shows that the connection is good."""
    buyer.hold(SeatId(event.id, 1))
    with watching(stream.of(event), Last_Event_ID="1") as watch:
        wait_for(lambda: bool(watch.told))
        assert (watch.told[0].name, watch.told[0].data["sequence"]) == ("heartbeat", 1)


def test_one_whose_changes_are_trimmed_begins_anew(
    make_stream: Callable[..., Stream], store: Store, event: Event, buyer: Buyer
) -> None:
    """With `reset`, and then all seats."""
    for number in (1, 2, 3):
        buyer.hold(SeatId(event.id, number))
    store.client.xtrim(keys.changes(event.id), maxlen=1, approximate=False)
    with watching(make_stream().of(event), Last_Event_ID="1") as watch:
        watch.wait_for(3)
        assert watch.names() == ["reset", "snapshot"]
        buyer.hold(SeatId(event.id, 4))
        watch.wait_for(4)


def test_what_is_not_kept_here_is_read_from_the_state(
    make_stream: Callable[..., Stream], store: Store, event: Event, buyer: Buyer
) -> None:
    """More than the newest thousand, of which a thousand are told."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    stream = make_stream()
    with watching(stream.of(event)) as first:
        for _ in range(1_100):
            store.seats.refresh(seat, buyer.user)
        first.wait_for(1_101)
    with watching(stream.of(event), Last_Event_ID="101") as watch:
        watch.wait_for(1_101)
        assert watch.changes() == list(range(102, 1_102))
    with watching(stream.of(event), Last_Event_ID="100") as watch:
        watch.wait_for(1_101)
        assert watch.names() == ["reset", "snapshot"]


def test_a_state_that_has_lost_changes_is_noticed(stream: Stream, store: Store, event: Event, buyer: Buyer) -> None:
    """As after a failover: numbers come again. Everybody begins anew, from what there is."""
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    for _ in range(4):
        store.seats.refresh(seat, buyer.user)
    with watching(stream.of(event)) as watch:
        watch.wait_for(5)
        store.client.hset(keys.event(event.id), "version", 2)
        store.client.xtrim(keys.changes(event.id), maxlen=0, approximate=False)
        buyer.hold(SeatId(event.id, 2))
        wait_for(lambda: watch.names() == ["snapshot", "reset", "snapshot"])
        assert watch.sequence == 3
        buyer.hold(SeatId(event.id, 3))
        watch.wait_for(4)
        assert watch.seats == _seats(store, event)[1]
    with watching(stream.of(event), Last_Event_ID="5") as late:
        late.wait_for(4)
        assert late.names() == ["reset", "snapshot"]


def test_what_a_later_version_has_done_is_seen_in_a_picture(
    stream: Stream, store: Store, event: Event, buyer: Buyer
) -> None:
    """It cannot be told as a change, so everybody begins anew; so does who missed it, and who polls."""
    buyer.hold(SeatId(event.id, 1))
    with watching(stream.of(event)) as watch:
        watch.wait_for(1)
        change_as_later_version(store, SeatId(event.id, 2))
        watch.wait_for(2)
        assert watch.names() == ["snapshot", "reset", "snapshot"]
        buyer.hold(SeatId(event.id, 3))
        watch.wait_for(3)
        assert watch.names() == ["snapshot", "reset", "snapshot", "change"]
        assert (3, watch.seats) == _seats(store, event)
        assert watch.seats[:4] == ["H", "R", "H", "A"]
    with watching(stream.of(event), Last_Event_ID="1") as late:
        late.wait_for(3)
        assert late.names()[:2] == ["reset", "snapshot"]
        assert late.seats == watch.seats
    poll = httpx.get(f"{stream.of(event, 'changes')}?since=1").json()
    assert poll == {"event": event.id, "sequence": 3, "reset": True, "changes": []}


@one_server
def test_an_event_is_read_once_however_many_watch(stream: Stream, store: Store, event: Event) -> None:
    """One blocking read, on one connection."""
    watches = [watching(stream.of(event)) for _ in range(10)]
    for watch in watches:
        watch.__enter__()
    clients = store.client.client_list()
    before = [client["cmd"] for client in clients].count("xread")
    others = store.events.create("Matinee", 10)
    with watching(stream.of(others)), watching(stream.of(others)):
        wait_for(lambda: [c["cmd"] for c in store.client.client_list()].count("xread") == before + 1)
    for watch in watches:
        watch.__exit__(None, None, None)


def test_one_who_does_not_read_is_dropped(make_stream: Callable[..., Stream], store: Store, event: Event) -> None:
    """And nobody waits for it: others are told everything meanwhile."""
    stream, buyer = make_stream(METRICS_PORT=str(port := free_port())), Buyer(store, str(uuid4()))
    seat = SeatId(event.id, 1)
    buyer.hold(seat)
    with socket.socket() as lazy, watching(stream.of(event)) as watch:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", stream.port))
        lazy.sendall(f"GET /events/{event.id}/stream HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(lambda: stream.http.get("/health/ready").json()["connections"] == 2)
        sequence = 1
        while stream.http.get("/health/ready").json()["connections"] == 2:
            for _ in range(500):
                store.seats.refresh(seat, buyer.user)
            sequence += 500
            assert sequence < 20_000
        watch.wait_for(sequence)
        assert watch.names() == ["snapshot"] + ["change"] * (sequence - 1)
    assert "reservation_feed_dropped_total 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_a_poll_is_answered_with_what_there_is(stream: Stream, store: Store, event: Event, buyer: Buyer) -> None:
    """Or with nothing, once the time is over; without `since`, with where one may begin."""
    poll: Callable[..., Any] = lambda **query: stream.http.get(f"/events/{event.id}/changes", params=query).json()  # noqa: E731 - read here alone
    assert poll() == {"event": event.id, "sequence": 0, "reset": False, "changes": []}
    assert poll(since=0, wait=1)["changes"] == []
    buyer.hold(SeatId(event.id, 1))
    buyer.hold(SeatId(event.id, 2))
    wait_for(lambda: poll()["sequence"] == 2)  # the first change is reason enough to answer, so both have to be there
    told = poll(since=0, wait=30)
    assert (told["sequence"], [change["sequence"] for change in told["changes"]]) == (2, [1, 2])
    assert [change["sequence"] for change in poll(since=1)["changes"]] == [2]
    assert poll(since=9) == {"event": event.id, "sequence": 2, "reset": True, "changes": []}


def test_a_poll_waits_for_a_change(stream: Stream, event: Event, buyer: Buyer) -> None:
    """And is answered when it comes."""
    answers: list[Any] = []
    url = stream.of(event, "changes")
    thread = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}?since=0&wait=30", timeout=40)))
    before = stream.http.get("/health/ready").json()["connections"]
    thread.start()
    wait_for(lambda: stream.http.get("/health/ready").json()["connections"] == before + 1)
    assert not answers
    buyer.hold(SeatId(event.id, 1))
    thread.join(20)
    assert answers[0].json()["changes"][0]["cause"] == "held"


@pytest.mark.parametrize("query", ["since=-1", "since=x", "since=0&wait=31", "wait=1.5", "since=" + "9" * 16])
def test_a_question_that_cannot_be_is_refused(stream: Stream, event: Event, query: str) -> None:
    """And says what is wrong with it."""
    answer = stream.http.get(f"/events/{event.id}/changes?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert answer.json()["errors"][0]["field"] in ("since", "wait")


@pytest.mark.parametrize("kind", ["stream", "changes"])
def test_an_event_that_is_not_there_is_not_found(stream: Stream, kind: str) -> None:
    """Nor one that cannot be; other paths and methods are refused as everywhere."""
    assert stream.http.get(f"/events/k3v9x2m7qa/{kind}").status_code == 404
    assert stream.http.get(f"/events/K3V9!/{kind}").json()["type"] == "/problems/not-found"
    assert stream.http.get(f"/events/k3v9x2m7qa/{kind}/more").json()["type"] == "/problems/unknown-route"
    assert stream.http.post(f"/events/k3v9x2m7qa/{kind}").json()["type"] == "/problems/method-not-allowed"


def test_who_comes_when_it_is_full_is_told_to_come_again(make_stream: Callable[..., Stream], event: Event) -> None:
    """By the number of one address, and by the number of all."""
    for limit, environment in ((2, {"STREAM_ADDRESS_LIMIT": "2"}), (10, {"STREAM_CONNECTION_LIMIT": "10"})):
        stream = make_stream(**environment)
        watches = [watching(stream.of(event)) for _ in range(limit)]
        for entered in [watch.__enter__() for watch in watches]:
            wait_for(lambda: bool(entered.told))  # noqa: B023 - asked at once
        for kind in ("stream", "changes"):
            refused = stream.http.get(f"/events/{event.id}/{kind}")
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/feed-full")
            assert refused.json()["retryable"]
            assert refused.headers["Retry-After"] == "5"
        watches.pop().__exit__(None, None, None)
        wait_for(lambda: stream.http.get(f"/events/{event.id}/changes").status_code == 200)  # noqa: B023 - asked at once
        for watch in watches:
            watch.__exit__(None, None, None)


def test_only_pages_of_the_api_may_read_it(stream: Stream, make_stream: Callable[..., Stream], event: Event) -> None:
    """The one at the same host, and those that may call the API anyway."""
    path = f"/events/{event.id}/changes"

    def allowed(stream: Stream, origin: str) -> str | None:
        answer = stream.http.get(path, headers={"Origin": origin})
        assert "Origin" in answer.headers["Vary"]
        return cast("str | None", answer.headers.get("Access-Control-Allow-Origin"))

    own = f"http://127.0.0.1:{API_PORT}"
    assert allowed(stream, own) == own
    for stranger in (
        "https://evil.example",
        "null",
        f"http://127.0.0.1:{API_PORT + 1}",
        f"http://localhost:{API_PORT}",
    ):
        assert allowed(stream, stranger) is None
    asked = {"Origin": own, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "Last-Event-ID"}
    preflight = stream.http.options(path, headers=asked)
    assert "Last-Event-ID" in preflight.headers["Access-Control-Allow-Headers"]
    refused = stream.http.options(path, headers={**asked, "Origin": "https://evil.example"})
    assert "Access-Control-Allow-Headers" not in refused.headers
    shop = make_stream(CORS_ORIGINS="https://tickets.example")
    assert allowed(shop, "https://tickets.example") == "https://tickets.example"
    assert allowed(shop, own) == own
    assert allowed(shop, "https://evil.example") is None


def test_it_lets_everybody_go_when_it_stops(
    make_stream: Callable[..., Stream], store: Store, event: Event, buyer: Buyer
) -> None:
    """The streams end as they should, a poll is answered, and another process goes on where they were."""
    first = make_stream()
    with watching(first.of(event)) as watch:
        buyer.hold(SeatId(event.id, 1))
        watch.wait_for(1)
        assert first.process.stop() == 0
        assert watch.ended.wait(5)
        assert not watch.problem
    buyer.hold(SeatId(event.id, 2))
    with watching(make_stream().of(event), Last_Event_ID="1") as watch:
        watch.wait_for(2)
        assert watch.names() == ["change"]


def test_it_serves_on_while_a_balancer_has_yet_to_notice(make_stream: Callable[..., Stream], event: Event) -> None:
    """SHUTDOWN_DELAY: who is still sent there is let in, and let go with the others."""
    stream = make_stream(SHUTDOWN_DELAY="5")
    stream.process.process.terminate()
    wait_for(lambda: stream.http.get("/health/ready").status_code == 503)
    assert stream.http.get("/health/ready").json()["status"] == "stopping"
    assert stream.http.get(f"/events/{event.id}/changes").status_code == 200
    with watching(stream.of(event)) as watch:
        wait_for(lambda: bool(watch.told))
        assert watch.ended.wait(10)
        assert not watch.problem


def test_several_processes_share_its_port(
    make_stream: Callable[..., Stream], store: Store, event: Event, buyer: Buyer
) -> None:
    """STREAM_PROCESSES: one that dies takes its own connections with it, and is replaced."""
    stream = make_stream(STREAM_PROCESSES="2")
    children = [pid for pid, line in stream.process.family().items() if " stream " in line]
    assert len(children) == 2
    os.kill(children[0], signal.SIGKILL)
    for _ in range(10):
        with watching(stream.of(event)) as watch:
            wait_for(lambda: bool(watch.told))
    wait_for(lambda: len([1 for line in stream.process.family().values() if " stream " in line]) == 2)
