"""What the client package makes of a service that is slow, busy, down, or not there, over real connections."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from reservation_client import (
    AdmissionRequired,
    AsyncClient,
    Busy,
    Change,
    Client,
    HoldLost,
    LimitReached,
    NoAnswer,
    NotEnded,
    NotFound,
    Problem,
    SeatMap,
    SeatUnavailable,
    UnexpectedAnswer,
)
from tests.e2e.conftest import free_port
from tests.shells import SHELLS, connected
from tests.unreliable import Says, answering, refusal

EVENT = "k3v9x2m7qa"
SEAT = f"{EVENT}-12"
USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
DROP = Says()
MADE = Says(201, {"id": EVENT, "name": "Gala", "totalSeats": 20, "createdAt": 1})
DATA = {"seatId": SEAT, "seatIds": [SEAT], "userUUID": USER}
OPEN: dict[str, Any] = {
    "id": f"{EVENT}-j",
    "type": "HOLD_SEAT",
    "data": DATA,
    "status": "waiting",
    "createdAt": 1,
    "deadline": 2,
    "serverTime": 1,
}
HELD = {"id": SEAT, "eventId": EVENT, "UUID": USER, "status": "On hold", "expiresAt": 5, "serverTime": 1}
DONE = {**OPEN, "status": "completed", "result": {"success": True, "message": "", "seat": HELD, "seats": [HELD]}}
QUEUED = Says(202, {"message": "", "jobId": OPEN["id"], "position": 4, "estimatedWaitTime": 1, "statusEndpoint": ""})
TICKET: dict[str, Any] = {
    "ticket": "t",
    "event": EVENT,
    "status": "waiting",
    "place": 3,
    "estimatedWaitTime": 1,
    "serverTime": 1,
    "statusEndpoint": "",
}

pytestmark = pytest.mark.parametrize("shell", SHELLS)


@pytest.mark.parametrize(
    "trouble",
    [
        DROP,
        refusal(503, "state-unavailable", jobId=OPEN["id"], statusEndpoint=""),
        refusal(429, "rate-limited"),
        refusal(409, "idempotency-key-in-use"),
        Says(502, "<html>", kind="text/html"),
    ],
    ids=["dropped", "503", "429", "409 in use", "502"],
)
def test_a_post_is_sent_again_with_the_same_key(shell: str, trouble: Says) -> None:
    """And with the same body, so that the service does it once; another thing has another key."""
    with answering(trouble, trouble, MADE) as server, connected(shell, server.url, user=USER) as client:
        assert client.create_event("Gala", 20).id == EVENT
        client.create_event("Gala", 20)
        first, again, last, other = server.asked
        assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == last.headers["idempotency-key"]
        assert first.body == again.body == last.body == {"name": "Gala", "totalSeats": 20}
        assert other.headers["idempotency-key"] != first.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("trouble", "raised"),
    [(DROP, NoAnswer), (refusal(503, "state-unavailable"), Busy), (Says(504, "", kind="text/html"), Busy)],
    ids=["dropped", "503", "504"],
)
def test_what_must_not_be_repeated_is_not(shell: str, trouble: Says, raised: type[Exception]) -> None:
    """A POST without a key of which nobody knows whether it was done."""
    with answering(trouble) as server, connected(shell, server.url) as client:
        with pytest.raises(raised):
            client.call("POST", f"/events/{EVENT}/webhooks/w/deliveries/d/replay")
        assert len(server.asked) == 1
        assert "idempotency-key" not in server.asked[0].headers


def test_what_was_not_done_is_sent_again_even_so(shell: str) -> None:
    """One that was refused as too many was not; and DELETE does no more the second time."""
    with (
        answering(refusal(429, "rate-limited"), Says(202, {"id": "d"}), DROP, Says(200, {})) as server,
        connected(shell, server.url) as client,
    ):
        assert client.call("POST", "/replay") == {"id": "d"}
        assert client.call("DELETE", "/webhook") == {}
        assert [asked.method for asked in server.asked] == ["POST", "POST", "DELETE", "DELETE"]


def test_whoever_asks_is_told_of_repetitions(shell: str) -> None:
    """Each with what was in the way; what is raised in the end is none."""
    why: list[str] = []
    with (
        answering(DROP, refusal(503, "queue-full"), refusal(404, "not-found")) as server,
        connected(
            shell,
            server.url,
            on_repeat=lambda error: why.append(error.type if isinstance(error, Problem) else str(error)),
        ) as client,
        pytest.raises(NotFound),
    ):
        client.get_event(EVENT)
    assert why[0].startswith("ReadError")
    assert why[1:] == ["queue-full"]


def test_a_service_that_is_not_there_is_tried_for_a_while(shell: str) -> None:
    """Then it is said, with what was in the way."""
    with connected(shell, f"http://127.0.0.1:{free_port()}", patience_s=0.3) as client:
        with pytest.raises(NoAnswer, match="ConnectError") as caught:
            client.call("POST", "/replay")
        assert caught.value.unsent
        assert caught.value.__cause__ is not None


def test_a_service_that_hangs_is_not_waited_for_longer(shell: str) -> None:
    """`timeout_s` is for each attempt, `patience_s` for all."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        connected(shell, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1, patience_s=0.2) as client,
        pytest.raises(NoAnswer, match="ReadTimeout"),
    ):
        client.get_event(EVENT)


def test_no_answer_is_waited_for_beyond_its_time(shell: str) -> None:
    """Where the service says that it takes longer, that is said at once, with how long."""
    with (
        answering(refusal(429, "rate-limited", retry_after=60, policy="user", limit=600)) as server,
        connected(shell, server.url, patience_s=30) as client,
    ):
        with pytest.raises(Busy) as caught:
            client.get_event(EVENT)
        assert (caught.value.type, caught.value.status, caught.value.retry_after_s) == ("rate-limited", 429, 60)
        assert (caught.value.retryable, caught.value.members["policy"]) == (True, "user")
        assert len(server.asked) == 1


@pytest.mark.parametrize("after", ["1", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_retry_after_is_honoured_in_either_form(shell: str, after: str) -> None:
    """And what it cannot mean is passed over."""
    with (
        answering(refusal(503, "queue-full", retry_after=after), MADE) as server,
        connected(shell, server.url) as client,
    ):
        client.get_event(EVENT)
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        (refusal(409, "seat-held", conflicts=[{"seatId": SEAT, "status": "On hold"}]), SeatUnavailable),
        (refusal(409, "too-few-seats", free=1), SeatUnavailable),
        (refusal(409, "limit-reached", limit=6), LimitReached),
        (refusal(403, "not-holder"), HoldLost),
        (refusal(403, "admission-required"), AdmissionRequired),
        (refusal(404, "not-found"), NotFound),
        (refusal(500, "internal-error"), Problem),
        (refusal(409, "not-yet-known"), Problem),
        (Says(200, "<html>", kind="text/html"), UnexpectedAnswer),
        (Says(204, ""), UnexpectedAnswer),
    ],
)
def test_refusals_are_raised_at_once(shell: str, said: Says, raised: type[Exception]) -> None:
    """By their kind, with what the problem says; never again."""
    with answering(said) as server, connected(shell, server.url, user=USER) as client:
        with pytest.raises(raised) as caught:
            client.hold(SEAT)
        assert caught.type is raised
        if isinstance(caught.value, Problem):
            assert isinstance(said.body, dict)
            assert said.body["type"] == f"/problems/{caught.value.type}"
            assert (caught.value.status, caught.value.detail) == (said.status, "No.")
            assert caught.value.members == said.body
        assert len(server.asked) == 1


def test_a_job_is_followed_to_its_end(shell: str) -> None:
    """Preferably by the first answer, then by looks that wait; those that come back at once grow rare."""
    with (
        answering(QUEUED, Says(200, OPEN), Says(503, ""), Says(200, OPEN), Says(200, DONE)) as server,
        connected(shell, server.url, user=USER, wait_s=20) as client,
    ):
        job = client.hold(SEAT)
        assert job.ended
        assert [seat.expires_at for seat in job.result()] == [5]
        assert server.asked[0].headers["prefer"] == "wait=20"
        assert server.asked[0].body == {"id": SEAT, "UUID": USER}
        assert {asked.path for asked in server.asked[1:]} == {f"/seats/job/{OPEN['id']}/status?wait=19"}
        assert len(server.asked) == 5


def test_a_job_need_not_be_waited_for(shell: str) -> None:
    """It is followed later, by itself or its id."""
    with (
        answering(QUEUED, Says(200, OPEN), Says(200, DONE)) as server,
        connected(shell, server.url, user=USER) as client,
    ):
        job = client.hold([SEAT, f"{EVENT}-13"], wait_s=0)
        assert (job.id, job.status, job.position) == (OPEN["id"], "waiting", 4)
        assert "prefer" not in server.asked[0].headers
        with pytest.raises(NotEnded) as caught:
            job.result()
        assert caught.value.job is job
        assert client.wait_for_job(job.id).result()[0].id == SEAT


@pytest.mark.parametrize(
    ("error", "raised"), [("hold-expired", HoldLost), ("seat-held", SeatUnavailable), ("deadline-passed", Problem)]
)
def test_a_verdict_against_is_raised_by_its_kind(shell: str, error: str, raised: type[Problem]) -> None:
    """As if it had been the answer, but for the status."""
    result = {"success": False, "message": "It is gone.", "error": error, "held": 3}
    status = "failed" if error == "deadline-passed" else "completed"
    with (
        answering(Says(200, {**DONE, "status": status, "result": result})) as server,
        connected(shell, server.url, user=USER) as client,
    ):
        job = client.reserve(SEAT)
        with pytest.raises(raised) as caught:
            job.result()
        assert (caught.value.type, caught.value.status, caught.value.detail) == (error, None, "It is gone.")
        assert caught.value.members["held"] == 3


def test_a_ticket_is_looked_at_as_often_as_it_says(shell: str) -> None:
    """Until it is admitted; and what it is admitted with goes with the hold."""
    early, admitted = {**TICKET, "status": "early"}, {**TICKET, "status": "admitted", "admission": "secret"}
    answers = [Says(201, TICKET), Says(200, early, {"Retry-After": "1"}), Says(200, admitted), Says(200, DONE)]
    with answering(*answers) as server, connected(shell, server.url, user=USER) as client:
        ticket = client.wait_for_admission(client.draw_ticket(EVENT))
        client.hold_best(EVENT, 2, admission=ticket.admission)
        assert server.asked[0].body == {"UUID": USER}
        assert [asked.path for asked in server.asked[1:3]] == [f"/events/{EVENT}/queue/t"] * 2
        assert server.asked[3].headers["admission"] == "secret"


def test_a_ticket_is_not_waited_for_beyond_its_time(shell: str) -> None:
    """It is returned as it was seen last."""
    with (
        answering(Says(201, TICKET), Says(200, TICKET, {"Retry-After": "60"})) as server,
        connected(shell, server.url, user=USER) as client,
    ):
        assert client.wait_for_admission(client.draw_ticket(EVENT), wait_s=0.1).status == "waiting"


# Tokens --------------------------------------------------------------------------------------------------------------


def _source(shell: str, tokens: list[str]) -> Callable[[], Any]:
    """Gets one after another, as a client of this kind would."""
    if shell == "threads":
        return lambda: tokens.pop(0)

    async def get() -> str:
        return tokens.pop(0)

    return get


def test_a_token_is_renewed_when_it_is_not_accepted_any_more(shell: str) -> None:
    """Once; one that is refused as well is the caller's."""
    refused = refusal(401, "token-invalid")
    with (
        answering(MADE, refused, MADE, refused) as server,
        connected(shell, server.url, token=_source(shell, ["a", "b", "c"])) as client,
    ):
        client.create_event("Gala", 20)
        client.create_event("Gala", 20)
        with pytest.raises(Problem, match="token-invalid"):
            client.create_event("Gala", 20)
        sent = [asked.headers["authorization"].removeprefix("Bearer ") for asked in server.asked]
        assert sent == ["a", "a", "b", "b", "c"]
        assert "x-user-uuid" not in server.asked[0].headers


def test_a_client_acts_for_others(shell: str) -> None:
    """Over the same connections, each as who they are."""
    with answering(Says(200, HELD)) as server, connected(shell, server.url, user=USER) as client:
        other = client.acting_for("7f3c2a10-1111-4222-8333-944445555666")
        other.get_seat(SEAT)
        client.acting_for(token="secret").get_seat(SEAT)  # noqa: S106 - no secret
        client.get_seat(SEAT)
        said = [(asked.headers.get("x-user-uuid"), asked.headers.get("authorization")) for asked in server.asked]
        assert said == [("7f3c2a10-1111-4222-8333-944445555666", None), (None, "Bearer secret"), (USER, None)]


@pytest.mark.parametrize("url", ["localhost:3000", "http://", "http://[::1", "ftp://localhost"])
def test_what_is_no_url_is_said_at_once(shell: str, url: str) -> None:
    """Rather than tried for half a minute."""
    with pytest.raises(ValueError, match="is not a URL"):
        {"threads": Client, "asyncio": AsyncClient}[shell](url)


# The feed ------------------------------------------------------------------------------------------------------------


def _told(name: str, sequence: int | None = None, **data: object) -> str:
    number = "" if sequence is None else f"id: {sequence}\n"
    return f"event: {name}\n{number}data: {json.dumps({'sequence': sequence, **data})}\n\n"


def _picture(sequence: int, seats: str) -> str:
    return _told("snapshot", sequence, event=EVENT, serverTime=1, free=1, held=1, reserved=0, seats=seats)


def _change(sequence: int, cause: str = "held", **data: object) -> str:
    return _told("change", sequence, seat=SEAT, cause=cause, time=1, **data)


def _stream(*events: str) -> Says:
    return Says(200, "retry: 10\n\n" + "".join(events), kind="text/event-stream; charset=utf-8")


def _watched(client: Client, number: int, **options: Any) -> list[str]:
    """The first that are told, shortened."""
    found = []
    watch = client.watch(EVENT, **options)
    for told in watch:
        found.append(f"map {told.sequence}" if isinstance(told, SeatMap) else f"{told.cause} {told.sequence}")
        if len(found) == number:
            break
    watch.close()  # type: ignore[attr-defined]  # a generator
    return found


def test_a_watch_goes_on_where_it_was(shell: str) -> None:
    """By the number of the last change; what is told twice is passed on once, and what is not known is passed on."""
    heartbeat = "event: heartbeat\ndata: {}\n\n"
    with (
        answering(
            _stream(_picture(17, "AH"), _change(18), heartbeat),
            DROP,
            refusal(503, "feed-full"),
            _stream(_change(18), _change(19, "painted", colour="red"), "event: news\ndata: x\n\n", ": comment\n\n"),
            _stream("event: change\nid: 20\ndata: {"),
            _stream(_change(20, **{"from": "Available", "to": "On hold"})),
        ) as server,
        connected(shell, server.url) as client,
    ):
        assert _watched(client, 4) == ["map 17", "held 18", "painted 19", "held 20"]
        assert [asked.headers.get("last-event-id") for asked in server.asked] == [None, "18", "18", "18", "19", "19"]


def test_a_watch_begins_anew_when_changes_are_gone(shell: str) -> None:
    """With another map, even if the connection is lost before that comes."""
    with (
        answering(
            _stream(_change(18), _told("reset", reason="trimmed")),
            _stream(_picture(3, "AA"), _change(4)),
        ) as server,
        connected(shell, server.url) as client,
    ):
        assert _watched(client, 3, since=17) == ["held 18", "map 3", "held 4"]
        assert [asked.headers.get("last-event-id") for asked in server.asked] == ["17", None]


def test_a_watch_goes_where_the_stream_is(shell: str) -> None:
    """Without telling who asks: nobody there has to know."""
    with answering(_stream(_picture(17, "AH"))) as elsewhere:
        there = f"{elsewhere.url}/events/{EVENT}/stream"
        with (
            answering(Says(307, None, {"Location": there})) as server,
            connected(shell, server.url, token="secret") as client,  # noqa: S106 - no secret
        ):
            assert _watched(client, 1) == ["map 17"]
            assert server.asked[0].headers["authorization"] == "Bearer secret"
            assert "authorization" not in elsewhere.asked[0].headers


def test_nobody_else_is_told_who_asks(shell: str) -> None:
    """Though what it sends with would follow redirects: the user's UUID is in headers and bodies."""
    http = (httpx.Client if shell == "threads" else httpx.AsyncClient)(follow_redirects=True)
    with answering(Says(200, {})) as elsewhere:
        there = Says(307, None, {"Location": f"{elsewhere.url}/seats/hold"})
        with answering(there) as server, connected(shell, server.url, user=USER, http=http) as client:
            with pytest.raises(UnexpectedAnswer):
                client.hold(SEAT)
            assert not elsewhere.asked


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        (refusal(404, "not-found"), NotFound),
        (Says(200, {}), UnexpectedAnswer),
        (Says(307, None, {"Location": "/somewhere"}), UnexpectedAnswer),
        (refusal(503, "feed-full", retry_after=60), Busy),
    ],
)
def test_a_watch_that_cannot_be_says_why(shell: str, said: Says, raised: type[Exception]) -> None:
    """Instead of trying for ever."""
    with answering(said) as server, connected(shell, server.url) as client, pytest.raises(raised):
        _watched(client, 1)


def test_a_change_and_a_map_are_what_they_say(shell: str) -> None:
    """As the service has them."""
    with (
        answering(_stream(_picture(17, "AH"), _change(18, **{"from": "Available", "to": "On hold"}))) as server,
        connected(shell, server.url) as client,
    ):
        watch = client.watch(EVENT)
        seats, change = next(watch), next(watch)
        watch.close()  # type: ignore[attr-defined]  # a generator
        assert isinstance(seats, SeatMap)
        assert isinstance(change, Change)
        assert (seats.seats, seats.held) == ("AH", 1)
        assert (change.seat, change.before, change.to) == (SEAT, "Available", "On hold")


def test_lists_are_read_to_their_end(shell: str) -> None:
    """Page by page, those that are empty too."""
    entry = {"sequence": 1, "time": 1, "seat": SEAT, "cause": "held"}
    with (
        answering(
            Says(200, {"event": EVENT, "entries": [], "nextCursor": "1-0"}),
            Says(200, {"event": EVENT, "entries": [entry, {**entry, "sequence": 2}]}),
        ) as server,
        connected(shell, server.url) as client,
    ):
        assert [entry.sequence for entry in client.audit(EVENT, seat=SEAT)] == [1, 2]
        assert [asked.path for asked in server.asked] == [
            f"/events/{EVENT}/audit?limit=1000&seat={SEAT}",
            f"/events/{EVENT}/audit?limit=1000&seat={SEAT}&cursor=1-0",
        ]
