"""The faults of the service that this one replaces, one test each. A test has its fault's name; its
docstring says what the original did, then what is true here."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis
from dramatiq import Worker
from falcon import testing

from actors.jobs import QUEUE
from actors.queue import Queue
from actors.sweeper import Sweeper
from reservation import keys
from reservation.codes import Code
from reservation.embedded import EmbeddedRedis
from reservation.errors import LimitReached, NotFound, NotOnHold
from reservation.ids import JobId, SeatId
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store
from reservation_http.app import Services, create_app
from tests.conftest import Buyer, changes, wait_for, working
from tests.e2e.conftest import Service, gone
from tests.integration.conftest import lapse
from tests.servers import kill
from tests.web import JSON, post, problem

MakeSettings = Callable[..., Settings]


@pytest.fixture
def client(settings: Settings, store: Store) -> testing.TestClient:
    """The API in this process, with nobody to carry out its jobs."""
    return testing.TestClient(create_app(Services.connect(settings)))


@pytest.fixture
def brief(make_settings: MakeSettings, store: Store) -> Store:
    """The same server, where a hold lasts half a second."""
    return Store.connect(make_settings(lock_expiration_time=0.5), connections=4)


@pytest.fixture(scope="module")
def mortal_redis() -> Iterator[EmbeddedRedis]:
    """A server that may be killed: the session's is everybody's."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def service(mortal_redis: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """All processes of the service, one of each kind."""
    folder = tmp_path_factory.mktemp("service")
    with closing(Service(folder, REDIS_URL=mortal_redis.url(), API_PROCESSES="1", WORKER_PROCESSES="1")) as running:
        yield running


def process_of(service: Service, role: str) -> int:
    """The pid of the service's `api` or `worker`, once it runs."""

    def pids() -> list[int]:
        return [pid for pid, line in service.process.family().items() if f" {role} " in line]

    wait_for(pids)
    return pids()[0]


def send_hold(store: Store, queue: Queue, seat: SeatId, user: str) -> JobId:
    """Accepts a hold and sends its message, as the API does."""
    job = JobId.new(seat.event)
    store.seats.accept_hold(seat, user, job)
    assert queue.send_jobs([(job, store.jobs.task(job))])
    return job


def test_five_consumers_share_one_blocking_connection(
    store: Store, queue: Queue, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one waited on it, the others could not. Here each has a connection of its own: all five wait
    at once, and each is woken by a message of its own."""
    monkeypatch.setattr("actors.consumer.BLOCK_S", 60)
    monkeypatch.setattr("actors.broker.BLOCK_S", 60)
    consumers = [queue.broker.consume(queue_name=QUEUE) for _ in range(5)]
    found: list[object] = []
    sent: list[JobId] = []

    def settled() -> bool:
        blocked = queue.broker.servers.client.info("clients")["blocked_clients"]
        return (len(found), blocked) == (len(sent), 5 - len(sent))

    for consumer in consumers:
        threading.Thread(target=lambda c=consumer: found.append(next(c)), daemon=True).start()
    wait_for(settled)
    for number in range(1, 6):
        sent.append(send_hold(store, queue, SeatId(event.id, number), user))
        wait_for(settled)
    assert all(found)
    for consumer in consumers:
        consumer.close()


def test_last_in_first_out(store: Store, queue: Queue, event: Event) -> None:
    """The newest job was taken first. Here a worker starts jobs in the order of their acceptance, and of two
    users who want one seat the first gets it."""
    users = [str(uuid4()) for _ in range(21)]
    jobs = [send_hold(store, queue, SeatId(event.id, n), user) for n, user in enumerate(users[:20], 1)]
    jobs.append(send_hold(store, queue, SeatId(event.id, 1), users[20]))
    worker = Worker(queue.broker, worker_threads=1, worker_timeout=100)
    worker.start()
    wait_for(lambda: all(store.jobs.read(job).ended for job in jobs))
    worker.stop()
    assert [int(change["seat"]) for change in changes(store, event.id)] == list(range(1, 21))
    assert store.seats.get(SeatId(event.id, 1)).user == users[0]


def test_refresh_never_extends(store: Store, brief: Store, event: Event, user: str) -> None:
    """It set the lock with `NX`, which changes nothing about a lock that is there. Here the hold outlives its
    first end, and its lock with it."""
    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    first_end = brief.seats.get(seat).expires_at or 0
    (refreshed,) = store.seats.refresh(seat, user)
    wait_for(lambda: store.events.load(event.id).now > first_end)
    shown = store.seats.get(seat)
    assert (shown.status, shown.user, shown.expires_at) == ("On hold", user, refreshed.expires_at)
    assert store.client.pttl(keys.lock(seat)) > 50_000


def test_an_expiry_frees_a_reserved_seat(store: Store, brief: Store, queue: Queue, event: Event, user: str) -> None:
    """The end of a hold freed a seat that had been sold meanwhile. Here a sold seat stays sold: when its
    hold would have ended, and when it is named as due all the same."""
    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    end = brief.seats.get(seat).expires_at or 0
    assert Buyer(brief, user).reserve(seat).code == Code.RESERVED
    wait_for(lambda: store.events.load(event.id).now > end)
    store.client.zadd(keys.holds(event.id), {str(seat): end})
    with working(store, queue):
        Sweeper(store, queue).sweep()
        wait_for(lambda: not store.events.load(event.id).holds)
    assert (store.seats.get(seat).status, store.seats.get(seat).user) == ("Reserved", user)


def test_a_server_down_at_expiry_leaves_a_seat_on_hold() -> None:
    """For ever: an expiry that nobody heard was lost. Here everything, Redis too, is killed, and comes back
    after the hold's end: the first answer says that the seat is free."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        options = {"LOCK_EXPIRATION_TIME": "1", "WORKER_PROCESSES": "1"}
        with closing(Service(Path(folder), **options)) as service:
            event = service.create(10)
            held = service.result(service.post("hold", f"{event}-1", str(uuid4())))["result"]["seat"]
            family = list(service.process.family())
            service.process.stop(signal.SIGKILL)
            wait_for(lambda: gone(family))
        wait_for(lambda: time.time() * 1000 > held["expiresAt"])
        with closing(Service(Path(folder), **options)) as service:
            assert service.http.get(f"/seats/get/{event}-1").json()["status"] == "Available"
            assert service.http.get(f"/seats/list/{event}").json()["total"] == 10
            assert service.result(service.post("hold", f"{event}-1", str(uuid4())))["result"]["success"]


def test_redis_loss_crashes_the_server(service: Service, mortal_redis: EmbeddedRedis) -> None:
    """Its process ended. Here the API answers 503 while Redis is gone, and goes
    on when it is back, as do worker and sweeper: none of them is another process than before."""
    event, family = service.create(10), service.process.family()
    kill(mortal_redis)
    lost = service.http.get(f"/seats/list/{event}")
    assert (lost.status_code, lost.json()["type"]) == (503, "/problems/state-unavailable")
    assert "retry-after" in lost.headers
    assert service.http.get("/health/live").status_code == 200
    logs = [service.folder / "logs" / name for name in ("worker.log", "sweeper.log")]
    wait_for(lambda: all("heartbeat broke off" in log.read_text() for log in logs))
    mortal_redis.start()
    wait_for(lambda: service.http.get(f"/seats/list/{event}").status_code == 200)
    assert service.result(service.post("hold", f"{event}-1", str(uuid4())))["result"]["success"]
    wait_for(lambda: service.http.get("/health/ready").json()["status"] == "ready")
    assert service.process.family() == family


def test_nine_holds_at_a_limit_of_six(store: Store, user: str) -> None:
    """That is what parallel holds were granted. Here the script that holds also counts: of thirty at once,
    six are granted."""
    event = store.events.create("Opening night", 30)

    def hold(number: int) -> Code:
        with suppress(LimitReached):
            return Buyer(store, user).hold(SeatId(event.id, number)).code
        return Code.LIMIT_REACHED

    with ThreadPoolExecutor(30) as pool:
        codes = list(pool.map(hold, range(1, 31)))
    assert (codes.count(Code.HELD), codes.count(Code.LIMIT_REACHED)) == (6, 24)
    assert store.events.list_free(event.id).total == 24


def test_reserve_accepted_after_expiry(client: testing.TestClient, brief: Store, event: Event, user: str) -> None:
    """A hold that was over could be reserved. Here the end is the end, though nobody has written it down:
    the seat's status still says `On hold`."""
    seat = SeatId(event.id, 1)
    Buyer(brief, user).hold(seat)
    lapse(brief, seat)
    assert brief.client.hget(keys.seat(seat), "status") == "On hold"
    problem(post(client, "/seats/reserve", {"id": str(seat), "UUID": user}), 409, "not-on-hold")
    with pytest.raises(NotOnHold):
        brief.seats.accept_reserve(seat, user, JobId.new(event.id))
    assert brief.events.load(event.id).open_jobs == 0


def test_a_job_lost_between_pop_and_bookkeeping(service: Service, mortal_redis: EmbeddedRedis) -> None:
    """It was off the queue and noted nowhere else when its worker died. Here a worker is killed with jobs in
    its hands, and all of them end."""
    event = service.create(200)
    worker = process_of(service, "worker")
    with redis.Redis.from_url(mortal_redis.url(1)) as broker:
        os.kill(worker, signal.SIGSTOP)
        queued = [service.post("hold", f"{event}-{n}", str(uuid4())) for n in range(1, 201)]
        os.kill(worker, signal.SIGCONT)
        wait_for(lambda: broker.llen(f"{{dramatiq:{QUEUE}}}:{QUEUE}") < 190)
        os.kill(worker, signal.SIGKILL)
        assert any(broker.scard(taken) for taken in broker.scan_iter("{dramatiq:seat_operations}:__acks__.*")), (
            "nothing was in its hands"
        )
    assert all(service.result(job)["result"]["success"] for job in queued)


def test_a_result_deleted_before_it_is_stored(store: Store, queue: Queue, event: Event) -> None:
    """For a while, and after a crash for good, there was neither job nor result. Here one step ends a job:
    who reads it all the time sees it open, then its result."""
    with working(store, queue):
        for number in range(1, 21):
            job = send_hold(store, queue, SeatId(event.id, number), str(uuid4()))
            while not (shown := store.jobs.read(job)).ended:  # NotFound would end the test
                assert shown.result is None
            assert shown.result is not None
            assert shown.result.success


def test_results_never_expire(make_settings: MakeSettings, store: Store, event: Event, user: str) -> None:
    """Each was kept for ever. Here it goes after `JOB_RESULT_TTL`; a job that has none yet stays."""
    forgetful = Store.connect(make_settings(job_result_ttl=0.05), connections=2)
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    forgetful.seats.accept_hold(seat, user, job)
    assert store.client.pttl(keys.job(job)) == -1
    forgetful.seats.hold(seat, user, job)
    wait_for(lambda: not store.client.exists(keys.job(job)))
    with pytest.raises(NotFound):
        store.jobs.read(job)


def test_retries_without_backoff(
    make_settings: MakeSettings, store: Store, event: Event, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that failed was tried again at once. Here, while state cannot be reached, the least pause doubles
    from try to try."""
    gone_state = Store.connect(make_settings(redis_url="unix:///nonexistent/redis.sock"), connections=4)
    queue = Queue.connect(make_settings(retry_min_delay=0.1), gone_state, connections=8)
    began: list[float] = []
    ended: list[float] = []
    hold = gone_state.seats.hold

    def noted(*job: Any) -> Any:
        began.append(time.monotonic())
        try:
            return hold(*job)
        finally:
            ended.append(time.monotonic())

    monkeypatch.setattr(gone_state.seats, "hold", noted)
    send_hold(store, queue, SeatId(event.id, 1), user)
    with working(store, queue):
        wait_for(lambda: len(began) > 4)
    pauses_s = [again - before for before, again in zip(ended, began[1:], strict=False)]
    # Not much longer, either: it looks ten times a second whether a pause is over. Dramatiq counts in whole ms.
    assert pauses_s[0] < 0.8, pauses_s
    assert all(pause_s > 0.1 * 2**tries - 0.002 for tries, pause_s in enumerate(pauses_s)), pauses_s


def test_pending_jobs_answer_404(client: testing.TestClient, event: Event, user: str) -> None:
    """So that nobody could tell them from jobs that never were. Here the address that comes with the 202
    answers at once."""
    queued = post(client, "/seats/hold", {"id": f"{event.id}-1", "UUID": user})
    assert queued.status_code == 202
    read = client.simulate_get(queued.headers["location"])
    assert (read.status_code, read.json["status"], read.json["id"]) == (200, "waiting", queued.json["jobId"])


def test_strangers_read_the_holders_uuid(client: testing.TestClient, store: Store, event: Event, user: str) -> None:
    """And could reserve the seat with it. Here a stranger's reads do not show it, and what they do show
    reserves nothing."""
    seat, job = SeatId(event.id, 1), JobId.new(event.id)
    store.seats.accept_hold(seat, user, job)
    store.seats.hold(seat, user, job)
    for path in (f"/seats/get/{seat}", f"/seats/job/{job}/status", f"/seats/list/{event.id}", f"/events/{event.id}"):
        read = client.simulate_get(path)
        assert read.status_code == 200
        assert user not in read.text
    shown = client.simulate_get(f"/seats/get/{seat}").json["UUID"]
    problem(post(client, "/seats/reserve", {"id": str(seat), "UUID": shown}), 422, "invalid-request")
    problem(post(client, "/seats/reserve", {"id": str(seat), "UUID": str(uuid4())}), 403, "not-holder")


@pytest.mark.parametrize("count", [10.5, [20], "0x20"])
def test_seat_counts_that_are_no_integers(client: testing.TestClient, store: Store, count: object) -> None:
    """They were accepted. Here they are refused, and nothing is written."""
    refused = problem(post(client, "/events/create", {"name": "x", "totalSeats": count}), 422, "invalid-request")
    assert [error["field"] for error in refused["errors"]] == ["totalSeats"]
    assert store.client.dbsize() == 0


def test_malformed_json_returns_a_stack_trace(service: Service) -> None:
    """Of the server's own code. Here a problem says in a sentence what is wrong."""
    refused = service.http.post("/events/create", content=b'{"name": "x", "totalSeats": ', headers=JSON)
    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/malformed-json")
    assert refused.headers["content-type"] == "application/problem+json"
    assert not any(sign in refused.text for sign in ("Traceback", 'File "', ".py"))


def test_no_persistence(service: Service, mortal_redis: EmbeddedRedis) -> None:
    """A Redis that went took every sale along. Here it is killed, and the sale is there when it is back."""
    event, user = service.create(10), str(uuid4())
    for action in ("hold", "reserve"):
        assert service.result(service.post(action, f"{event}-1", user))["result"]["success"]
    kill(mortal_redis)
    mortal_redis.start()
    wait_for(lambda: service.http.get("/health/ready").status_code == 200)
    sold = service.http.get(f"/seats/get/{event}-1", headers={"X-User-UUID": user}).json()
    assert (sold["status"], sold["UUID"]) == ("Reserved", user)
    assert service.http.get(f"/seats/list/{event}").json()["total"] == 9


def test_unknown_events_list_as_200(client: testing.TestClient) -> None:
    """Like an event that is sold out. Here they are 404."""
    problem(client.simulate_get("/seats/list/k3v9x2m7qa"), 404, "not-found")


def test_a_crash_leaves_an_event_without_seats(service: Service, mortal_redis: EmbeddedRedis) -> None:
    """The event was there, and could not be sold. Here the API is killed with some of 10,000 seats written:
    there is no such event, and nothing of it can be had."""
    with redis.Redis.from_url(mortal_redis.url(), decode_responses=True) as state:
        event = kill_while_creating(service, state)
        while state.scard(keys.seats(event)) == 10_000:  # it was done before the API was dead
            event = kill_while_creating(service, state)
    for path in (f"/events/{event}", f"/seats/list/{event}", f"/seats/get/{event}-1"):
        assert service.http.get(path).status_code == 404
    assert service.post("hold", f"{event}-1", str(uuid4())).status_code == 404


def kill_while_creating(service: Service, state: Any) -> str:
    """Kills the API while it writes an event's seats; returns the event's id."""

    def create() -> None:
        with suppress(httpx.TransportError):
            httpx.post(f"{service.http.base_url}/events/create", json={"name": "x", "totalSeats": 10_000})

    api, known = process_of(service, "api"), state.zcard(keys.EVENTS)
    creating = threading.Thread(target=create)
    creating.start()
    wait_for(lambda: state.zcard(keys.EVENTS) > known)
    event: str = state.zrange(keys.EVENTS, -1, -1)[0]
    wait_for(lambda: state.scard(keys.seats(event)))
    os.kill(api, signal.SIGKILL)
    wait_for(lambda: gone([api]))
    creating.join()
    return event
