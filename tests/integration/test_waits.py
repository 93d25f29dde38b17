"""Waiting for the end of a job: `Prefer: wait` and `?wait=`, as the server's loop has them."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from falcon import testing

from reservation import keys
from reservation.codes import Code
from reservation.errors import StateUnavailable
from reservation.fleet import Lag
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.rounds import Rounds
from reservation.settings import Settings
from reservation.store import Store
from reservation.waits import Waits
from reservation_http.app import Services, create_app
from tests.conftest import ON_CLUSTER, Buyer, wait_for
from tests.integration.conftest import commands
from tests.web import JSON, post, problem


class Loop:
    """Requests on their way, as in the server's loop: by one thread, in rounds."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.client = testing.TestClient(create_app(services))
        self.answers: list[testing.Result] = []
        self._rounds = Rounds()
        self.called = threading.Event()
        services.waits.wake = self.called.set

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> None:
        """Begins a request, and works until it waits or is answered."""

        def work() -> None:
            self.answers.append(self.client.simulate_request(method, path, json=body, headers=headers))

        self._rounds.start(work)
        self.work()

    def work(self) -> None:
        while self._rounds.tasks:
            self._rounds.work()

    def answer(self) -> testing.Result:
        """The next answer, whoever is to be woken for it."""
        wait_for(self.go_on, 10)
        return self.answers.pop(0)

    def go_on(self) -> bool:
        """Works on who was called, or need not be; returns whether anybody is answered."""
        if self.called.wait(min(0.05, max(0.0, self._rounds.pausing_s))):
            self.called.clear()
        self._rounds.wake()
        self.work()
        return bool(self.answers)


@pytest.fixture(autouse=True)
def _seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is answered because of having looked by themselves."""
    monkeypatch.setattr("reservation.waits._LOOK_S", 1_000.0)


@pytest.fixture
def make_loop(make_settings: Callable[..., Settings], store: Store) -> Iterator[Callable[..., Loop]]:
    """Builds the application in a loop."""
    made: list[Loop] = []

    def make(**values: object) -> Loop:
        made.append(Loop(Services.connect(make_settings(**values))))
        return made[-1]

    yield make
    for loop in made:
        loop.services.waits.close()
    for loop in made:
        if loop.services.waits._ear is not None:
            loop.services.waits._ear.join()


@pytest.fixture
def loop(make_loop: Callable[..., Loop]) -> Loop:
    return make_loop()


def _wish(event: Event, user: str, number: int = 1) -> dict[str, str]:
    return {"id": f"{event.id}-{number}", "UUID": user}


def _open_job(store: Store, event: Event) -> JobId:
    """The one job that has not ended; waits until it is there."""
    wait_for(lambda: bool(store.client.zcard(keys.jobs(event.id))))
    (job_id,) = store.client.zrange(keys.jobs(event.id), 0, -1)
    return JobId.parse(str(job_id))


def _heard(loop: Loop, store: Store) -> None:
    """Waits until the process hears what is published to it, and whoever waits has looked for that reason."""
    channel = loop.services.waits._channel

    def subscribed() -> bool:
        return any(dict(server.pubsub_numsub(channel)).get(channel) for server in store.servers.primaries())

    wait_for(subscribed)
    wait_for(loop.called.is_set)
    loop.go_on()


def test_who_prefers_to_wait_is_answered_with_the_end(loop: Loop, store: Store, event: Event, user: str) -> None:
    """200 and the job as its user sees it, once it has its verdict; what it says is what its address says."""
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=20")
    job_id = _open_job(store, event)
    _heard(loop, store)
    assert loop.answers == []
    store.seats.hold(SeatId(event.id, 1), user, job_id)
    answer = loop.answer()
    assert answer.status_code == 200, answer.text
    assert answer.headers["location"] == f"/seats/job/{job_id}/status"
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "retry-after" not in answer.headers
    assert (answer.json["status"], answer.json["result"]["seat"]["UUID"]) == ("completed", user)
    read = loop.client.simulate_get(answer.headers["location"], headers={"X-User-UUID": user})
    told, known = (re.sub(r'"serverTime":\d+', "", result.text) for result in (answer, read))
    assert told == known


def test_who_waits_is_called_and_does_not_look_again_and_again(
    loop: Loop, store: Store, event: Event, user: str, other: str
) -> None:
    """The ledger is read when the wait begins and when it ends, by each of two that wait for the same job."""
    queued = post(loop.client, "/seats/hold", _wish(event, user)).json
    for viewer in (user, other):
        loop.ask("GET", f"{queued['statusEndpoint']}?wait=20", None, **{"X-User-UUID": viewer})
    _heard(loop, store)
    before = commands(store)
    store.seats.hold(SeatId(event.id, 1), user, JobId.parse(queued["jobId"]))
    ends = [loop.answer(), loop.answer()]  # in either order
    done = commands(store) - before
    assert [end.json["status"] for end in ends] == ["completed", "completed"]
    assert {end.json["data"]["userUUID"] for end in ends} == {user, ""}
    assert (done["hgetall"], done["publish"]) == (2, 1)


def test_a_job_for_which_nobody_waits_is_told_to_nobody(store: Store, event: Event, buyer: Buyer) -> None:
    """Its end costs what it did."""
    before = commands(store)
    buyer.hold(SeatId(event.id, 1))
    assert "publish" not in commands(store) - before


@pytest.mark.parametrize(("type_", "code"), [("HOLD_SEAT", Code.INTERNAL_ERROR), ("RESERVE_SEAT", Code.RESERVED)])
def test_every_end_is_told(loop: Loop, store: Store, event: Event, buyer: Buyer, type_: str, code: Code) -> None:
    """A reservation, and that there is no verdict."""
    seat = SeatId(event.id, 1)
    if type_ == "RESERVE_SEAT":
        buyer.hold(seat)
    path = "/seats/hold" if type_ == "HOLD_SEAT" else "/seats/reserve"
    loop.ask("POST", path, _wish(event, buyer.user), Prefer="wait=20")
    job_id = _open_job(store, event)
    _heard(loop, store)
    if code == Code.RESERVED:
        store.seats.reserve(seat, buyer.user, job_id)
    else:
        store.seats.fail(seat, buyer.user, job_id, code)
    answer = loop.answer()
    assert (answer.status_code, answer.json["type"]) == (200, type_)
    assert answer.json["result"].get("error", code.slug) == code.slug


def test_a_job_that_has_ended_is_answered_at_once(loop: Loop, store: Store, event: Event, buyer: Buyer) -> None:
    """By its address, and to a second reserve that is answered with the same job."""
    seat, job_id = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, buyer.user, job_id)
    store.seats.hold(seat, buyer.user, job_id)
    loop.ask("GET", f"/seats/job/{job_id}/status?wait=30")
    (answer,) = loop.answers
    assert answer.json["status"] == "completed"


def test_a_request_that_is_sent_again_is_answered_with_its_job(
    loop: Loop, store: Store, event: Event, user: str
) -> None:
    """The first was answered 202; the second, which prefers to wait, 200, as it has ended by then; the third, which
    does not, as the first was."""
    key = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    first = post(loop.client, "/seats/hold", _wish(event, user), **key)
    store.seats.hold(SeatId(event.id, 1), user, JobId.parse(first.json["jobId"]))
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=20", **key)
    second = loop.answers.pop()
    assert (second.status_code, second.json["id"]) == (200, first.json["jobId"])
    assert second.headers["idempotency-replayed"] == "true"
    third = post(loop.client, "/seats/hold", _wish(event, user), **key)
    assert (third.status_code, third.json) == (202, first.json)


def test_one_request_that_waits_counts_once(make_loop: Callable[..., Loop], store: Store, event: Event) -> None:
    """However long it does, and however often its job is read meanwhile."""
    loop = make_loop(rate_limits="on", rate_limit_jobs="2/minute", rate_limit_address="3/minute")
    job_id = JobId.new(event.id)
    user = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
    store.seats.accept_hold(SeatId(event.id, 1), user, job_id)
    path, me = f"/seats/job/{job_id}/status", {"X-User-UUID": user}
    loop.ask("GET", f"{path}?wait=20", None, **me)
    _heard(loop, store)
    store.seats.hold(SeatId(event.id, 1), user, job_id)
    assert loop.answer().status_code == 200
    assert loop.client.simulate_get(path, headers=me).status_code == 200
    problem(loop.client.simulate_get(path, headers=me), 429, "rate-limited")


def test_no_more_than_a_quarter_of_the_threads_wait(loop: Loop, store: Store, event: Event, user: str) -> None:
    """The fifth of sixteen is answered at once, 202 as without the preference and without a further look at the ledger;
    by its address, as the job is. A place that is given back is the next one's."""
    assert loop.services.waits._most == 4
    jobs: list[JobId] = []
    for number in range(1, 5):
        queued = post(loop.client, "/seats/hold", _wish(event, user, number)).json
        jobs.append(JobId.parse(queued["jobId"]))
        loop.ask("GET", f"{queued['statusEndpoint']}?wait=20")
    _heard(loop, store)
    assert loop.answers == []
    before = commands(store)
    loop.ask("POST", "/seats/hold", _wish(event, user, 5), Prefer="wait=20")
    fifth = loop.answers.pop()
    assert fifth.status_code == 202
    assert "preference-applied" not in fifth.headers
    assert (commands(store) - before)["hgetall"] == 0
    loop.ask("GET", f"{fifth.json['statusEndpoint']}?wait=20")
    assert loop.answer().json["status"] == "waiting"
    store.seats.hold(SeatId(event.id, 1), user, jobs[0])
    assert loop.answer().json["id"] == str(jobs[0])
    loop.ask("GET", f"{fifth.json['statusEndpoint']}?wait=20")
    assert loop.answers == []


def test_where_nothing_ends_the_wait_does(loop: Loop, event: Event, user: str) -> None:
    """After as long as was asked for: the usual 202, and the job as it is."""
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=1")
    queued = loop.answer()
    assert queued.status_code == 202
    assert queued.headers["location"] == queued.json["statusEndpoint"]
    assert int(queued.headers["retry-after"]) >= 1
    assert queued.headers["preference-applied"] == "wait=1"
    loop.ask("GET", f"{queued.json['statusEndpoint']}?wait=1")
    assert loop.answer().json["status"] == "waiting"


def test_a_wait_ends_with_the_jobs_deadline(make_loop: Callable[..., Loop], event: Event, user: str) -> None:
    """No worker is there, nor a sweeper: it reads as failed from then on, and the answer comes then."""
    loop = make_loop(hold_job_deadline=0.5)
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=30")
    answer = loop.answer()
    assert (answer.status_code, answer.json["status"]) == (200, "failed")
    assert answer.json["result"]["error"] == "deadline-passed"
    assert answer.json["serverTime"] - answer.json["deadline"] < 5_000


def test_who_has_gone_keeps_no_place(loop: Loop, store: Store, event: Event, user: str) -> None:
    """It is looked for now and then."""
    queued, gone = post(loop.client, "/seats/hold", _wish(event, user)).json, threading.Event()
    told: list[Any] = []
    job_id, waits = JobId.parse(queued["jobId"]), loop.services.waits
    loop._rounds.start(lambda: told.append(waits.job(job_id, 30, Lag(), None, gone.is_set)))
    loop.work()
    _heard(loop, store)
    waits.look()
    loop.go_on()
    assert (told, len(waits._waiting)) == ([], 1)
    gone.set()
    waits.look()
    loop.go_on()
    assert ([job.status for job in told], waits._waiting) == (["waiting"], [])


def test_who_waits_does_not_hold_up_the_end_of_the_process(loop: Loop, store: Store, event: Event, user: str) -> None:
    """All are answered at once, and so is who comes then."""
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=30")
    _heard(loop, store)
    assert loop.answers == []
    loop.services.waits.close()
    loop.go_on()
    assert [answer.status_code for answer in loop.answers] == [202]
    loop.ask("GET", f"{loop.answers.pop().json['statusEndpoint']}?wait=30")
    assert loop.answer().json["status"] == "waiting"
    ear = loop.services.waits._ear
    assert ear is not None
    ear.join(5)
    assert not ear.is_alive()


def test_no_thread_is_kept_where_there_are_few(
    make_client: Callable[..., testing.TestClient], event: Event, user: str
) -> None:
    """Of the pool, or wherever else no loop is: answered at once, so that the others are served."""
    client = make_client(api_threads=3)
    queued = post(client, "/seats/hold", _wish(event, user), Prefer="wait=30")
    assert queued.status_code == 202
    assert client.simulate_get(f"{queued.json['statusEndpoint']}?wait=30").json["status"] == "waiting"


def test_what_was_lost_is_found_by_looking(
    loop: Loop, store: Store, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that nobody has heard, as when a version that sends none ends the job."""
    monkeypatch.setattr("reservation.waits._LOOK_S", 0.2)
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=20")
    job_id = _open_job(store, event)
    _heard(loop, store)
    store.client.hdel(keys.job(job_id), "awaited")
    store.seats.hold(SeatId(event.id, 1), user, job_id)
    assert loop.answer().status_code == 200


@pytest.mark.skipif(ON_CLUSTER, reason="whose connections it is that are killed is known of one server")
def test_a_subscription_that_was_lost_is_made_again(loop: Loop, store: Store, event: Event, user: str) -> None:
    """And what was missed meanwhile is looked up at once."""
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=20")
    job_id = _open_job(store, event)
    _heard(loop, store)
    channel = loop.services.waits._channel
    store.client.client_kill_filter(_type="pubsub")
    store.client.hdel(keys.job(job_id), "awaited")
    store.seats.hold(SeatId(event.id, 1), user, job_id)
    assert loop.answer().status_code == 200
    assert dict(store.client.pubsub_numsub(channel)) == {channel: 1}


def test_an_accepted_job_is_not_lost_with_the_wait(
    loop: Loop, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its end cannot be read any more, as when its result is no longer kept, the answer is 202 all the same."""

    def gone(*_: object) -> None:
        raise StateUnavailable

    monkeypatch.setattr(Waits, "job", gone)
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=20")
    assert [answer.status_code for answer in loop.answers] == [202]


@pytest.mark.parametrize("wait", ["31", "-1", "1.5", "", "soon", "1&wait=2"])
def test_a_wait_that_cannot_be_is_422(client: testing.TestClient, store: Store, event: Event, wait: str) -> None:
    """The parameter is named."""
    job_id = JobId.new(event.id)
    store.seats.accept_hold(SeatId(event.id, 1), "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70", job_id)
    refused = problem(
        client.simulate_get(f"/seats/job/{job_id}/status", query_string=f"wait={wait}"), 422, "invalid-request"
    )
    assert [error["field"] for error in refused["errors"]] == ["wait"]


def test_an_unknown_job_is_not_waited_for(loop: Loop) -> None:
    """404 at once."""
    loop.ask("GET", f"/seats/job/{JobId.new('k3v9x2m7qa')}/status?wait=30", None, **JSON)
    problem(loop.answers.pop(), 404, "not-found")


@pytest.mark.skipif(ON_CLUSTER, reason="each node has users of its own")
def test_a_verdict_is_not_lost_where_it_may_not_be_told(
    loop: Loop, store: Store, make_settings: Callable[..., Settings], event: Event, user: str
) -> None:
    """A worker whose user of Redis's may use no channel: who waits finds the end by looking."""
    loop.ask("POST", "/seats/hold", _wish(event, user), Prefer="wait=1")
    job_id = _open_job(store, event)
    store.client.acl_setuser(
        "worker", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"], reset_channels=True
    )
    url = make_settings().state_url.replace("unix://", "unix://worker:secret@")
    worker = Store.connect(make_settings(redis_url=url), connections=1)
    assert worker.seats.hold(SeatId(event.id, 1), user, job_id).code == Code.HELD
    worker.servers.close()
    store.client.acl_deluser("worker")
    assert loop.answer().status_code == 200
