"""State and queue on three primaries: what goes where, what happens while a slot moves, and when a node is gone."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from falcon import testing
from redis.crc import key_slot

from actors.figures import Readings
from actors.gauges import ServiceGauges
from actors.queue import Queue
from actors.sweeper import Sweeper
from reservation import keys
from reservation.checks import check
from reservation.connections import connect
from reservation.errors import StateUnavailable
from reservation.fleet import Lag
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.metrics import exposition, registry
from reservation.models import Event
from reservation.rounds import RoundPipelining, Rounds
from reservation.servers import Servers
from reservation.settings import Settings
from reservation.store import Store
from reservation.topology import Topology
from reservation.urls import parse
from reservation.waits import Waits
from reservation_http.app import Services, create_app
from reservation_http.errors import RateLimited
from tests.cluster import Node, RedisCluster, cluster, slot
from tests.conftest import wait_for, working
from tests.integration.test_actors import listening
from tests.integration.test_metrics import figures

Make = Callable[..., Settings]


@pytest.fixture(scope="module")
def primaries() -> Iterator[RedisCluster]:
    """Three of them."""
    with cluster() as nodes:
        yield nodes


@pytest.fixture
def nodes(primaries: RedisCluster) -> RedisCluster:
    """The same, whatever a test before has done to one of them."""
    primaries.wait_until_whole()
    return primaries


@pytest.fixture
def servers(nodes: RedisCluster) -> Iterator[Servers]:
    """A client with one connection to each: one that is not given back is missed at once."""
    servers = connect(nodes.url(), connections=1, timeout_s=0.5)
    yield servers
    servers.close()


@pytest.fixture
def store(nodes: RedisCluster, make_settings: Make) -> Iterator[Store]:
    store = Store.connect(make_settings(redis_url=nodes.url()), connections=8, pipelining=RoundPipelining)
    yield store
    store.servers.close()


@pytest.fixture
def queue(nodes: RedisCluster, make_settings: Make, store: Store) -> Queue:
    return Queue.connect(make_settings(redis_url=nodes.url(), queue_shards=4), store, connections=8)


def events_of_each(store: Store, nodes: RedisCluster, seats: int = 20) -> dict[int, Event]:
    """An event on each node, by the node's port."""
    found: dict[int, Event] = {}
    while len(found) < len(nodes.primaries()):
        event = store.events.create("Opening night", seats)
        found.setdefault(nodes.owner(slot(event.id)).port, event)
    return found


def other_than(nodes: RedisCluster, node: Node) -> Node:
    return next(each for each in nodes.primaries() if each is not node)


# Where things go -------------------------------------------------------------------------------------------------


def test_replies_come_in_the_order_of_their_commands(servers: Servers) -> None:
    """Whichever nodes they are from, an error among them; and the connections are given back."""
    for _ in range(3):
        names = [f"key-{number}" for number in range(50)]
        servers.send([("DEL", name) for name in names])
        commands = [("SET", name, number) for number, name in enumerate(names)]
        assert servers.send(commands) == ["OK"] * 50
        replies = servers.send([*(("GET", name) for name in names), ("LPUSH", "key-1", 1)])
        assert replies[:-1] == [str(number) for number in range(50)]
        assert isinstance(replies[-1], redis.ResponseError)


def test_events_are_spread_over_the_nodes(store: Store, nodes: RedisCluster) -> None:
    """Each event is on one node with all that is its own, and every node has some."""
    events = events_of_each(store, nodes)
    for port, event in events.items():
        user, seat, job = str(uuid4()), SeatId(event.id, 1), JobId.new(event.id)
        store.seats.accept_hold(seat, user, job)
        store.seats.hold(seat, user, job)
        (node,) = [node for node in nodes.nodes if node.port == port]
        for name in (keys.event(event.id), keys.seat(seat), keys.lock(seat), keys.job(job)):
            assert node.client.exists(name)
        (loads,) = [store.events.load_each([each.id for each in events.values()])]
        assert loads[event.id].holds == 1


def test_a_fleet_is_seen_whole(store: Store) -> None:
    """What its script looks at is in one slot."""
    store.fleet.beat(keys.WORKERS, "a worker", Lag(7, 3))
    store.fleet.beat(keys.SWEEPERS, "a sweeper")
    assert tuple(store.fleet.load()) == (1, 1, 7, 3)


def test_queues_are_spread_over_the_nodes_by_event(store: Store, queue: Queue, nodes: RedisCluster) -> None:
    """An event has one queue, whoever sends; four queues are on every node of three."""
    queue.broker.flush_all()
    events = [store.events.create("Opening night", 10) for _ in range(40)]
    jobs = [(JobId.new(event.id), Task("HOLD_SEAT", (SeatId(event.id, 1),), str(uuid4()), "")) for event in events]
    assert queue.send_jobs(jobs)
    waiting = {name: int(queue.broker.servers.client.llen(queue.broker.key(name))) for name in queue.shards}
    assert sum(waiting.values()) == queue.depth() == 40
    assert all(waiting.values())
    owners = {
        nodes.owner(int(nodes.nodes[0].say("CLUSTER", "KEYSLOT", queue.broker.key(name)))).port for name in waiting
    }
    assert owners == {node.port for node in nodes.primaries()}
    queue.broker.flush_all()


def test_jobs_of_all_queues_are_carried_out(store: Store, queue: Queue, nodes: RedisCluster) -> None:
    """By one worker, who listens on every one."""
    events = events_of_each(store, nodes)
    with working(store, queue, threads=1):
        jobs = []
        for event in events.values():
            for number in range(1, 7):
                job, user = JobId.new(event.id), str(uuid4())
                store.seats.accept_hold(SeatId(event.id, number), user, job)
                jobs.append((job, Task("HOLD_SEAT", (SeatId(event.id, number),), user, "")))
        queue.send_jobs(jobs)
        wait_for(lambda: all(store.jobs.read(job).ended for job, _ in jobs))
    assert all(store.seats.get(task.seats[0]).user == task.user for _, task in jobs)


def test_a_sweeper_looks_at_every_node(store: Store, queue: Queue, nodes: RedisCluster, make_settings: Make) -> None:
    """Jobs whose messages were lost are sent again, and holds that ended are freed, wherever their event is."""
    queue.broker.flush_all()
    brief = Store.connect(make_settings(redis_url=nodes.url(), lock_expiration_time=0.05), connections=2)
    events = events_of_each(store, nodes)
    for event in events.values():
        job, user = JobId.new(event.id), str(uuid4())
        brief.seats.accept_hold(SeatId(event.id, 1), user, job)
        brief.seats.hold(SeatId(event.id, 1), user, job)
    wait_for(lambda: all(store.events.load(event.id).due for event in events.values()))
    Sweeper(store, queue).sweep()
    assert queue.depth() >= len(events)
    with working(store, queue):
        wait_for(lambda: not any(store.events.load(event.id).holds for event in events.values()))
    brief.servers.close()


# While a slot moves ----------------------------------------------------------------------------------------------


def test_a_slot_that_has_moved_is_found(store: Store, nodes: RedisCluster) -> None:
    """By who has asked the node that had it, and by all that share what is known of the cluster."""
    event = store.events.create("Opening night", 20)
    before = nodes.owner(slot(event.id))
    nodes.move(slot(event.id), other_than(nodes, before))
    assert store.seats.get(SeatId(event.id, 1)).status == "Available"

    def asked() -> int:
        said = before.client.info("commandstats")["cmdstat_evalsha"]
        return int(said["calls"]) + int(said["rejected_calls"])

    since = asked()
    for _ in range(5):
        store.seats.get(SeatId(event.id, 1))
    assert asked() == since, "it was asked again"


def test_what_is_half_moved_is_refused_for_a_while_and_not_half_done(store: Store, nodes: RedisCluster) -> None:
    """A script whose keys are on two nodes does nothing; once they are together, it does all."""
    event, user = store.events.create("Opening night", 200), str(uuid4())
    source = nodes.owner(slot(event.id))
    to = other_than(nodes, source)
    nodes.move(slot(event.id), to, half=True)
    refused: list[BaseException | None] = []
    jobs = {number: JobId.new(event.id) for number in range(1, 21)}
    for number, job in jobs.items():
        try:
            store.seats.accept_hold(SeatId(event.id, number), user, job)
        except StateUnavailable as error:
            refused.append(error.__cause__)
    assert refused, "no key was on its way"
    assert {type(error) for error in refused} == {redis.exceptions.TryAgainError}
    nodes.finish(slot(event.id), source, to)
    accepted = {job for job in jobs.values() if to.client.exists(keys.job(job))}
    assert len(accepted) == len(jobs) - len(refused)
    assert set(to.client.zrange(keys.jobs(event.id), 0, -1)) == {str(job) for job in accepted}


def test_a_loaded_slot_moves_to_and_fro_and_no_promise_breaks(store: Store, queue: Queue, nodes: RedisCluster) -> None:
    """Buyers hold and reserve the seats of one event while its slot moves between all nodes: every job that was
    accepted ends, each seat is sold to one buyer, and to the one who was told so."""
    event = store.events.create("Opening night", 300)
    buyers = 6
    told: dict[int, str] = {}
    accepted: list[JobId] = []
    moves = 0
    done = threading.Event()

    def until_it_works(act: Callable[[], str]) -> str:
        while True:
            try:
                return act()
            except StateUnavailable as error:
                if error.job_id is not None and store_knows(error.job_id):
                    return error.job_id
                time.sleep(0.01)

    def store_knows(job: str) -> bool:
        return until_read(lambda: _exists(store, JobId.parse(job)))

    def until_read(read: Callable[[], bool]) -> bool:
        while True:
            try:
                return read()
            except StateUnavailable:
                time.sleep(0.01)

    def carry_out(action: str, number: int, user: str) -> bool:
        accept = store.seats.accept_hold if action == "HOLD_SEAT" else store.seats.accept_reserve
        seat = SeatId(event.id, number)
        job = JobId.parse(until_it_works(lambda: accept(seat, user, JobId.new(event.id)).job_id))
        accepted.append(job)
        queue.send_jobs([(job, Task(action, (seat,), user, ""))])  # type: ignore[arg-type]  # one of two
        assert until_read(partial(_waited, store, job))
        return until_read(partial(_succeeded, store, job))

    def buy(mine: int) -> None:
        for number in range(mine + 1, 301, buyers):
            user = str(uuid4())
            if carry_out("HOLD_SEAT", number, user) and carry_out("RESERVE_SEAT", number, user):
                told[number] = user

    with working(store, queue):
        sweeping = threading.Thread(target=_sweep, args=(store, queue, done))
        threads = [threading.Thread(target=buy, args=(number,)) for number in range(buyers)]
        for thread in (sweeping, *threads):
            thread.start()
        while any(thread.is_alive() for thread in threads):
            nodes.move(slot(event.id), other_than(nodes, nodes.owner(slot(event.id))))
            moves += 1
        for thread in threads:
            thread.join()
        done.set()
        sweeping.join()
    assert moves >= 3
    assert len(told) == 300
    for number, user in told.items():
        seat = store.seats.get(SeatId(event.id, number))
        assert (seat.status, seat.user) == ("Reserved", user)
    assert all(store.jobs.read(job).ended for job in accepted)


def test_the_end_of_a_job_is_heard_wherever_its_event_is(
    store: Store, nodes: RedisCluster, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one subscription, to whichever node: nobody looks by themselves."""
    monkeypatch.setattr("reservation.waits._LOOK_S", 1_000.0)
    jobs = {event.id: JobId.new(event.id) for event in events_of_each(store, nodes).values()}
    for event_id, job in jobs.items():
        store.seats.accept_hold(SeatId(event_id, 1), user, job)
    waits, rounds, called, told = Waits(store.jobs, store.servers, len(jobs)), Rounds(), threading.Event(), []
    waits.wake = called.set

    def go_on() -> None:
        if called.wait(0.05):
            called.clear()
        rounds.wake()
        while rounds.tasks:
            rounds.work()

    for job in jobs.values():
        rounds.start(lambda job=job: told.append(waits.job(job, 60, Lag(), None)))  # type: ignore[misc]  # bound now
        go_on()
    hearers = [node.client for node in nodes.primaries()]
    wait_for(lambda: any(count for node in hearers for _, count in node.pubsub_numsub(waits._channel)))
    go_on()
    assert told == []
    for event_id, job in jobs.items():
        store.seats.hold(SeatId(event_id, 1), user, job)
    wait_for(lambda: go_on() or len(told) == len(jobs))  # type: ignore[func-returns-value]  # it returns nothing
    assert {job.status for job in told if job} == {"completed"}
    waits.close()
    assert waits._ear is not None
    waits._ear.join()


def _exists(store: Store, job: JobId) -> bool:
    return bool(store.scripts.execute("EXISTS", keys.job(job)))


def _waited(store: Store, job: JobId) -> bool:
    wait_for(lambda: store.jobs.read(job).ended, 40)
    return True


def _succeeded(store: Store, job: JobId) -> bool:
    result = store.jobs.read(job).result
    return result is not None and result.success


def _sweep(store: Store, queue: Queue, done: threading.Event) -> None:
    sweeper = Sweeper(store, queue)
    store.fleet.beat(keys.WORKERS, "a worker")
    while not done.wait(0.5):
        try:
            store.fleet.beat(keys.WORKERS, "a worker")
            sweeper.sweep()
        except StateUnavailable:
            pass


# When a node is gone ---------------------------------------------------------------------------------------------


def test_sums_without_a_nodes_events_are_not_shown(store: Store, queue: Queue, nodes: RedisCluster, user: str) -> None:
    """Half a sum would be untrue. What other nodes know is there; and all of it again once the node is back."""
    store.client.flushall()
    events = events_of_each(store, nodes)
    for event in events.values():
        store.seats.accept_hold(SeatId(event.id, 1), user, JobId.new(event.id))
    index = nodes.owner(key_slot(keys.ACTIVE.encode()))
    fleet = nodes.owner(key_slot(keys.WORKERS.encode()))
    (node, *_) = [node for node in nodes.primaries() if node not in (index, fleet)]
    store.fleet.beat(keys.WORKERS, "one")
    node.pause()
    with pytest.raises(StateUnavailable):
        store.seats.get(SeatId(events[node.port].id, 1))
    shown = _shown(store, queue)
    assert "reservation_jobs_open" not in shown
    assert "reservation_oldest_job_seconds" not in shown
    assert shown["reservation_active_events"] >= len(events)
    assert shown["reservation_workers"] == 1
    node.go_on()
    wait_for(lambda: _shown(store, queue).get("reservation_jobs_open") == len(events))
    assert _shown(store, queue)["reservation_oldest_job_seconds"] > 0


def _shown(store: Store, queue: Queue) -> dict[str, float]:
    return figures(exposition(registry(ServiceGauges(Readings(store, queue))), "")[0].decode())


def test_a_list_without_a_nodes_events_is_not_shown(store: Store, nodes: RedisCluster) -> None:
    """Nobody could tell that some are missing. It is there again once the node is."""
    store.client.flushall()
    events = events_of_each(store, nodes)
    index = nodes.owner(key_slot(keys.EVENTS.encode()))
    node = other_than(nodes, index)
    node.pause()
    with pytest.raises(StateUnavailable):
        store.events.newest(100)
    node.go_on()
    wait_for(lambda: _is_listed(store, events.values()))


def _is_listed(store: Store, events: Iterable[Event]) -> bool:
    try:
        return {event.id for event in events} <= {event.id for event in store.events.newest(100).events}
    except StateUnavailable:
        return False


def test_a_node_that_is_gone_takes_its_events_only(store: Store, nodes: RedisCluster) -> None:
    """Those of the others are sold on; nobody waits for it twice, and it is asked again once it is back."""
    events = events_of_each(store, nodes)
    port, lost = next(iter(events.items()))
    (node,) = [node for node in nodes.nodes if node.port == port]
    node.pause()
    began = time.monotonic()
    with pytest.raises(StateUnavailable):
        store.seats.get(SeatId(lost.id, 1))
    waited = time.monotonic() - began
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(StateUnavailable):
            store.seats.get(SeatId(lost.id, 1))
        for event in events.values():
            if event is not lost:
                assert store.seats.get(SeatId(event.id, 1)).status == "Available"
    assert time.monotonic() - began < 100 * waited / 2, "each call waited for the node"
    node.go_on()
    wait_for(lambda: not _is_refused(store, lost))


def _is_refused(store: Store, event: Event) -> bool:
    try:
        store.seats.get(SeatId(event.id, 1))
    except StateUnavailable:
        return True
    return False


def test_nobody_is_refused_before_any_node_was_asked(make_settings: Make) -> None:
    """Nothing is sent when it is put together: a service may start before its cluster."""
    store = Store.connect(make_settings(redis_url="redis+cluster://127.0.0.1:1"), connections=1)
    with pytest.raises(StateUnavailable) as refused:
        store.events.active()
    assert "no node of the cluster answers" in str(refused.value.__cause__)


def test_what_is_on_other_nodes_is_swept(store: Store, queue: Queue, nodes: RedisCluster) -> None:
    """Jobs there are sent again although a node is gone, whichever it is: also that of the sweeper's own index."""
    for node in nodes.primaries():
        store.fleet.beat(keys.WORKERS, "a worker")
        queue.broker.flush_all()
        events = events_of_each(store, nodes)
        jobs = {}
        for event in events.values():
            jobs[event.id] = JobId.new(event.id)
            store.seats.accept_hold(SeatId(event.id, 1), str(uuid4()), jobs[event.id])
        there = [event.id for port, event in events.items() if port != node.port]
        sweeper = Sweeper(store, queue)
        node.pause()
        try:
            wait_for(partial(_swept, sweeper, store, [jobs[event_id] for event_id in there]), 20)
        except AssertionError as error:  # seen once, on a busy machine, and not explained
            views = [other.say("CLUSTER", "INFO") for other in nodes.nodes if other is not node]
            error.add_note(f"{vars(sweeper)} {queue.waiting()} {store.events.load_each(there)} {views}")
            raise
        finally:
            node.go_on()
        wait_for(lambda event=events[node.port]: not _is_refused(store, event))  # type: ignore[misc]  # bound now
        nodes.wait_until_whole()


def _swept(sweeper: Sweeper, store: Store, jobs: list[JobId]) -> bool:
    """Whether all of these have been sent again."""
    with suppress(StateUnavailable):
        store.fleet.beat(keys.WORKERS, "a worker")
    sweeper.sweep()
    attempts = store.scripts.execute_each([("HGET", keys.job(job), "attempts") for job in jobs])
    return all(attempt is not None and int(attempt) > 1 for attempt in attempts)


def test_jobs_go_by_another_queue_while_theirs_is_gone(store: Store, queue: Queue, nodes: RedisCluster) -> None:
    """Events on other nodes are sold on, whichever node is gone."""
    for node in nodes.primaries():
        events = events_of_each(store, nodes)
        there = [event for port, event in events.items() if port != node.port]
        with working(store, queue):
            node.pause()
            try:
                for event in there:
                    for number in range(1, 7):
                        seat, user, job = SeatId(event.id, number), str(uuid4()), JobId.new(event.id)
                        store.seats.accept_hold(seat, user, job)
                        assert queue.send_jobs([(job, Task("HOLD_SEAT", (seat,), user, ""))])
                        wait_for(lambda job=job: store.jobs.read(job).ended)  # type: ignore[misc]  # bound now
            finally:
                node.go_on()
        wait_for(lambda event=events[node.port]: not _is_refused(store, event))  # type: ignore[misc]  # bound now
        nodes.wait_until_whole()


# What is known of the nodes ---------------------------------------------------------------------------------------


def test_a_node_that_is_out_of_touch_is_not_believed(nodes: RedisCluster) -> None:
    """It answers who has which slots, as it last knew; its own state says that it should not be asked."""
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder:
        stale = Node(Path(folder), require_full_coverage="yes")
        try:
            stale.say("CLUSTER", "ADDSLOTS", *range(100))
            assert stale.info()["cluster_state"] == "fail"
            named = f"redis+cluster://127.0.0.1:{stale.port}," + nodes.url().partition("//")[2]
            found = Topology(parse(named))
            assert found.owner(0) == ("127.0.0.1", nodes.owner(0).port)
            # Of nobody who is in touch, it is all there is.
            assert Topology(parse(f"redis+cluster://127.0.0.1:{stale.port}")).owner(0) == ("127.0.0.1", stale.port)
        finally:
            stale.stop()


def test_nodes_that_do_not_say_what_they_are_called_are_found(nodes: RedisCluster, servers: Servers) -> None:
    """By the address at which they were asked: managed clusters behind one name do that."""
    for node in nodes.nodes:
        node.say("CONFIG", "SET", "cluster-preferred-endpoint-type", "unknown-endpoint")
    try:
        number = key_slot(b"endpoint")
        nodes.move(number, other_than(nodes, nodes.owner(number)))
        assert servers.send([("SET", "endpoint", 1), ("GET", "endpoint")]) == ["OK", "1"]
        nodes.move(number, other_than(nodes, nodes.owner(number)))
        assert servers.send([("GET", "endpoint")]) == ["1"]
    finally:
        for node in nodes.nodes:
            node.say("CONFIG", "SET", "cluster-preferred-endpoint-type", "ip")


def test_the_nodes_are_looked_at_whatever_came_of_the_last_look(
    nodes: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody thought of does not end it: a node that was gone would stay so for ever."""
    found = Topology(parse(nodes.url()))
    (address, *_) = found.primaries()
    asked: list[object] = []

    def fail(_: Topology, *command: object) -> object:
        asked.append(command)
        raise UnicodeError

    with monkeypatch.context() as patch:
        patch.setattr(Topology, "_say", fail)
        found.lose(address, redis.ConnectionError("gone"))
        wait_for(lambda: len(asked) > 3)
    wait_for(lambda: not found.down)


def test_a_slot_is_found_while_what_was_said_of_it_is_forgotten(nodes: RedisCluster) -> None:
    """By another thread, between two looks."""

    class Fleeting(dict[int, tuple[str, int]]):
        def __contains__(self, _: object) -> bool:
            return True

    found = Topology(parse(nodes.url()))
    found._moved = Fleeting({1: ("elsewhere", 1)})
    assert found.owner(0) == ("127.0.0.1", nodes.owner(0).port)


def test_nothing_is_an_answer(store: Store, nodes: RedisCluster) -> None:
    """That a key is not there is one; only if nobody answers it is an outage."""
    events = events_of_each(store, nodes)
    (lost, *others) = events
    (node,) = [node for node in nodes.nodes if node.port == lost]
    node.pause()
    try:
        asked = [events[lost], *(events[port] for port in others)]
        found = store.scripts.execute_each([("GET", keys.abandoned(event.id)) for event in asked])
        assert found == [None] * 3
        with pytest.raises(StateUnavailable):
            store.scripts.execute_each([("GET", keys.abandoned(events[lost].id))])
    finally:
        node.go_on()
    wait_for(lambda: not _is_refused(store, events[lost]))


def test_jobs_of_nodes_that_answer_are_listed(store: Store, nodes: RedisCluster) -> None:
    """Open and ended ones; those of a node that is gone are left out."""
    events = events_of_each(store, nodes)
    jobs = {}
    for port, event in events.items():
        jobs[port] = JobId.new(event.id)
        store.seats.accept_hold(SeatId(event.id, 1), str(uuid4()), jobs[port])
    for lost in events:
        (node,) = [node for node in nodes.nodes if node.port == lost]
        node.pause()
        try:
            there = {jobs[port] for port in events if port != lost}
            assert {job.id for job in store.jobs.read_each(list(jobs.values()))} == set(map(str, there))
            scanned = {job for page in store.jobs.scan(None, 1_000_000) for job in page}
            assert scanned & set(jobs.values()) == there
            assert store.jobs.kept() > 0
        finally:
            node.go_on()
        wait_for(lambda event=events[lost]: not _is_refused(store, event))  # type: ignore[misc]  # bound now


# What clients and balancers see -----------------------------------------------------------------------------------


def _fleet_of(nodes: RedisCluster) -> Node:
    """The node on which it is kept who is at work."""
    return nodes.owner(key_slot(keys.WORKERS.encode()))


def test_an_api_is_ready_while_any_node_answers(nodes: RedisCluster, make_settings: Make) -> None:
    """Degraded while it cannot be told who is at work: a balancer that dropped it would drop all of them."""
    services = Services.connect(make_settings(redis_url=nodes.url()))
    client = testing.TestClient(create_app(services))
    node = _fleet_of(nodes)
    node.pause()
    try:
        said = client.simulate_get("/health/ready")
        assert (said.status_code, said.json["status"], said.json["state"]) == (200, "degraded", "up")
    finally:
        node.go_on()
    gone = testing.TestClient(create_app(Services.connect(make_settings(redis_url="redis+cluster://127.0.0.1:1"))))
    assert gone.simulate_get("/health/ready").status_code == 503


def test_who_has_asked_too_often_is_refused_although_a_node_is_gone(nodes: RedisCluster, make_settings: Make) -> None:
    """What of the counts can be read counts: of an address, or of a user."""
    limits = {"rate_limits": "on", "rate_limit_user": "1/day", "rate_limit_address": "1000/day"}
    services = Services.connect(make_settings(redis_url=nodes.url(), **limits))
    counts = services.access.limits
    user, address = str(uuid4()), "192.0.2.1"
    counts.hit("user", address, user)
    with pytest.raises(RateLimited):
        counts.hit("user", address, user)
    before = counts._windows["address"][0]
    of_user = nodes.owner(key_slot((counts._windows["user"][0] % user).encode()))
    of_address = nodes.owner(key_slot((before % address).encode()))
    number = 0
    while of_address is of_user:  # another address, on another node
        number += 1
        address = f"192.0.2.{number}"
        of_address = nodes.owner(key_slot((before % address).encode()))
    of_address.pause()
    try:
        with pytest.raises(RateLimited):
            counts.hit("user", address, user)
    finally:
        of_address.go_on()


def test_what_weakens_a_cluster_is_said_of_each_node(nodes: RedisCluster, make_settings: Make) -> None:
    """That it has no replica, and that all of it stops while any of it is gone; a node is no server by itself."""
    settings = make_settings(redis_url=nodes.url(), broker_url="unix:///nonexistent/redis.sock")
    found = [finding for finding in check(settings) if finding.setting != "BROKER_URL"]
    assert sorted(finding.setting for finding in found) == sorted(
        f"REDIS_URL (127.0.0.1:{node.port})" for node in nodes.nodes
    )
    assert all("has no replica" in finding.text and not finding.fatal for finding in found)
    first = nodes.nodes[0]
    first.say("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    try:
        (more,) = [finding for finding in check(settings) if "cluster-require-full-coverage no" in finding.text]
        assert (more.setting, more.fatal) == (f"REDIS_URL (127.0.0.1:{first.port})", False)
    finally:
        first.say("CONFIG", "SET", "cluster-require-full-coverage", "no")
    alone = check(make_settings(redis_url=f"redis://127.0.0.1:{first.port}/0", broker_url=settings.broker_url))
    assert [finding.text for finding in alone if finding.fatal and "redis+cluster://" in finding.text]


# Expiry -----------------------------------------------------------------------------------------------------------


def test_holds_that_end_are_heard_on_every_node(
    store: Store, queue: Queue, nodes: RedisCluster, make_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each announces its own only; and so does one that has its first slots later."""
    monkeypatch.setattr("actors.listener._LOOK_S", 0.05)
    queue.broker.flush_all()
    brief = Store.connect(make_settings(redis_url=nodes.url(), lock_expiration_time=0.1), connections=2)
    events = events_of_each(store, nodes)
    later = max(events)
    primaries = store.servers.primaries
    hidden = [True]

    def known() -> list[redis.Redis]:
        return [server for server in primaries() if not (hidden and server.get_connection_kwargs()["port"] == later)]

    def hold(port: int) -> None:
        user, job, seat = str(uuid4()), JobId.new(events[port].id), SeatId(events[port].id, 1)
        brief.seats.accept_hold(seat, user, job)
        brief.seats.hold(seat, user, job)

    monkeypatch.setattr(store.servers, "primaries", known)
    with listening(store, queue):
        for port in events:
            hold(port)
        wait_for(lambda: all(_is_due(store, event) for event in events.values()))
        wait_for(lambda: queue.depth() == len(events) - 1)
        hidden.clear()
        wait_for(lambda: all(server.pubsub_numpat() for server in known()))
        store.client.set(keys.lock(SeatId(events[later].id, 2)), "somebody", px=1)
        wait_for(lambda: queue.depth() == len(events))
    brief.servers.close()


def _is_due(store: Store, event: Event) -> bool:
    return bool(store.events.load(event.id).due)
