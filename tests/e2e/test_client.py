"""The client package, in both its forms, and a service of real processes."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from reservation_client import AdmissionRequired, Change, Client, HoldLost, LimitReached, Problem, SeatMap
from reservation_client import SeatUnavailable as Unavailable
from tests.e2e.conftest import Service
from tests.shells import SHELLS, connected
from tests.web import JWT, bearer

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(service: Service, shell: str) -> Iterator[Client]:
    """Of a user who has nothing yet."""
    with connected(shell, str(service.http.base_url), user=uuid4()) as connection:
        yield connection


@pytest.fixture
def rival(client: Client) -> Client:
    return client.acting_for(uuid4())


def test_a_seat_from_nothing_to_sold(client: Client, rival: Client) -> None:
    """And given back in the end."""
    event = client.create_event("Opening night", 20)
    assert client.get_event(event.id) == event
    seat = f"{event.id}-12"
    (held,) = client.hold(seat).result()
    assert (held.id, held.status, held.event_id) == (seat, "On hold", event.id)
    (longer,) = client.refresh(seat)
    assert longer.expires_at is not None
    assert held.expires_at is not None
    assert longer.expires_at >= held.expires_at
    with pytest.raises(Unavailable, match="seat-held") as taken:
        rival.hold(seat).result()
    assert taken.value.members["currentStatus"] == "On hold"
    with pytest.raises(HoldLost, match="not-holder"):
        rival.refresh(seat)
    job = client.reserve(seat, reference="order 4711")
    assert (job.type, job.status, job.data and job.data.seat_ids) == ("RESERVE_SEAT", "completed", (seat,))
    (sold,) = job.result()
    assert (sold.status, sold.reference, sold.reservation_id) == ("Reserved", "order 4711", job.id)
    assert client.get_seat(seat) == sold
    assert rival.get_seat(seat).user == ""
    assert client.get_job(job.id).result() == (sold,)
    assert [own.id for own in client.list_own_seats(event.id).reservations] == [seat]
    client.cancel(seat)
    assert client.get_seat_map(event.id).free == 20


def test_several_seats_all_or_none(client: Client, rival: Client) -> None:
    """In the order in which they were asked for; a refusal says which is in the way."""
    event = client.create_event("Opening night", 20)
    two = [f"{event.id}-5", f"{event.id}-4"]
    assert [seat.id for seat in client.hold(two).result()] == two
    with pytest.raises(Unavailable) as taken:
        rival.hold([f"{event.id}-3", f"{event.id}-4"]).result()
    assert taken.value.members["conflicts"] == [{"seatId": f"{event.id}-4", "status": "On hold"}]
    assert [seat.id for seat in client.refresh(two)] == two
    client.release(two)
    with pytest.raises(LimitReached) as refused:
        client.hold([f"{event.id}-{n}" for n in range(1, 9)]).result()
    assert (refused.value.members["limit"], refused.value.members["requested"]) == (6, 8)


def test_the_best_seats_and_where_they_are(client: Client, rival: Client) -> None:
    """Next to one another, in the row that the layout says; and more than there are is refused."""
    layout = {"sections": [{"name": "Stalls", "rows": [{"seats": 5, "count": 2}]}]}
    event = client.create_event("Opening night", layout=layout)
    (section,) = client.get_layout(event.id).sections
    assert [(row.name, row.first) for row in section.rows] == [("A", 1), ("B", 6)]
    held = client.hold_best(event.id, 3, adjacent="required").result()
    assert [seat.id.rpartition("-")[2] for seat in held] == ["1", "2", "3"]
    with pytest.raises(Unavailable) as refused:
        rival.hold_best(event.id, 6, adjacent="required").result()
    assert (refused.value.type, refused.value.members["largestBlock"]) == ("no-seats-together", 5)


def test_lists_and_who_did_what(client: Client) -> None:
    """Events on as many pages as there are, free seats, and the audit."""
    events = [client.create_event(f"Night {n}", 10).id for n in range(3)]
    listed = [event.id for event in client.list_events(page_size=1)]
    assert set(events) <= set(listed)
    assert len(set(listed)) == len(listed)
    free = client.list_free_seats(events[0], limit=4)
    assert (len(free.seats), free.total) == (4, 10)
    assert len(client.list_free_seats(events[0], cursor=free.next_cursor).seats) == 6
    client.hold(f"{events[0]}-1").result()
    client.release(f"{events[0]}-1")
    assert [entry.cause for entry in client.audit(events[0], page_size=1)] == ["held", "released"]


def test_seats_are_taken_out_of_the_sale(client: Client, rival: Client) -> None:
    """And put back; the history says why."""
    event = client.create_event("Opening night", 20)
    seats = [f"{event.id}-1", f"{event.id}-2"]
    client.block(event.id, seats, reason="Broken armrest")
    with pytest.raises(Unavailable, match="seat-blocked"):
        rival.hold(seats[0]).result()
    assert client.get_seat_map(event.id).blocked == 2
    client.unblock(event.id, seats[:1])
    rival.hold(seats[0], priority="vip").result()
    assert [entry.reason for entry in client.audit(event.id)][:2] == ["Broken armrest"] * 2


def test_a_job_for_later_is_waited_for(client: Client) -> None:
    """No longer than one would, and it is there all the same."""
    event = client.create_event("Opening night", 20)
    later = event.created_at + 2_000
    job = client.hold(f"{event.id}-1", not_before=later, wait_s=0.1)
    assert not job.ended
    ended = client.wait_for_job(job)
    assert ended.not_before == later
    assert ended.result()


def test_an_event_is_watched(service: Service, client: Client, shell: str) -> None:
    """From its map on, by the redirect to where the stream is; what somebody else does meanwhile is told."""
    event = client.create_event("Opening night", 20)
    client.hold(f"{event.id}-2").result()
    watch = client.watch(event.id)
    seats = next(watch)
    assert isinstance(seats, SeatMap)
    assert seats.seats == "AH" + "A" * 18
    with connected(shell, str(service.http.base_url), user=uuid4()) as other:
        other.hold(f"{event.id}-5").result()
        other.reserve(f"{event.id}-5").result()
    told = [next(watch), next(watch)]
    watch.close()  # type: ignore[attr-defined]  # a generator
    assert [change.cause for change in told if isinstance(change, Change)] == ["held", "reserved"]
    again = client.watch(event.id, since=seats.sequence)
    assert next(again) == told[0]
    again.close()  # type: ignore[attr-defined]  # a generator


def test_a_waiting_room_is_waited_in(client: Client) -> None:
    """Without admission no hold; with it, one."""
    event = client.create_event("Opening night", 20, admit_per_minute=60_000, admission_ttl=60)
    assert event.waiting_room is not None
    assert event.waiting_room.admission_ttl == 60
    with pytest.raises(AdmissionRequired):
        client.hold(f"{event.id}-1")
    ticket = client.wait_for_admission(client.draw_ticket(event.id), wait_s=20)
    assert client.get_ticket(event.id, ticket.ticket).admission == ticket.admission
    assert client.hold(f"{event.id}-1", admission=ticket.admission).result()


def test_with_tokens_the_user_is_the_token_s(make_service: Callable[..., Service], shell: str, tmp_path: Path) -> None:
    """A UUID may be left out; the token is renewed when it has expired; an operator cancels anybody's reservation."""
    service = make_service(**{name.upper(): str(value) for name, value in JWT.items()})
    asked: list[str] = []

    def get(user: str, *scopes: str, **claims: object) -> Any:
        def token() -> str:
            asked.append(user)
            over = {"exp": 1} if len(asked) == 1 else {}
            return bearer(user, *scopes, **claims, **over)["Authorization"].removeprefix("Bearer ")

        return token

    buyer = str(uuid4())
    with connected(shell, str(service.http.base_url), token=get(buyer, "events:write")) as client:
        event = client.create_event("Opening night", 20)
        assert asked == [buyer, buyer]
        seats = [f"{event.id}-1", f"{event.id}-2"]
        client.hold(seats).result()
        assert {seat.user for seat in client.reserve(seats).result()} == {buyer}
        operator = client.acting_for(token=get(str(uuid4()), "events:write"))
        operator.cancel(seats[0], user=buyer)
        operator.cancel(seats[1])
        with pytest.raises(Problem, match="scope-missing"):
            client.acting_for(token=get(buyer)).create_event("Opening night", 20)


def test_the_readme_sells_a_seat(service: Service) -> None:
    """By its code, as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "API": str(service.http.base_url)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"Reserved [a-z0-9]+-[a-z0-9]+\n", done.stdout), done.stdout


def test_threads_share_a_client(service: Service) -> None:
    """A hundred buyers for one seat by one client: exactly one gets it."""
    with Client(str(service.http.base_url), user=uuid4()) as client:
        event = client.create_event("Opening night", 10)
        got: list[str] = []

        def buy() -> None:
            user = str(uuid4())
            with suppress(Unavailable):
                client.acting_for(user).hold(f"{event.id}-1").result()
                got.append(user)

        threads = [threading.Thread(target=buy) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
