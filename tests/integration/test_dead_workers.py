"""What a worker that died had in hand, and dead letters that are too old: what Dramatiq's maintenance did."""

from typing import Any
from uuid import uuid4

from dramatiq import Message
from dramatiq.common import dq_name

from actors.broker import HEARTBEAT_TIMEOUT_MS
from actors.jobs import QUEUE
from actors.queue import Queue
from reservation.ids import JobId, SeatId
from reservation.jobs import Task
from reservation.models import Event
from reservation.settings import Settings
from reservation.store import Store


def _sent(queue: Queue, event: Event, number: int = 1) -> None:
    assert queue.send_jobs([(JobId.new(event.id), Task("HOLD_SEAT", (SeatId(event.id, number),), str(uuid4()), ""))])


def _die(queue: Queue, ago_ms: int) -> None:
    """Its worker was last heard of so long ago."""
    key = queue.broker._heartbeats(QUEUE)
    queue.broker.servers.client.zadd(key, {queue.broker.broker_id: queue.broker.now_ms() - ago_ms})


def test_its_messages_go_to_others(settings: Settings, store: Store, queue: Queue, event: Event) -> None:
    """Those that were to be carried out later, too; not what it had acknowledged or nobody can read, and each once."""
    dead, other = queue.broker, Queue.connect(settings, store, connections=2).broker
    _sent(queue, event, 1)
    _sent(queue, event, 2)
    (done, _) = dead.take(QUEUE, 2, [])
    dead.take(QUEUE, 0, [_id(done)])
    client = dead.servers.client
    client.sadd(dead._acks(QUEUE, dead.broker_id), "textless")
    delayed = queue.actors.release_expired.message(event.id)
    dead.enqueue(delayed, delay=60_000)
    assert len(dead.take(dq_name(QUEUE), 1, [])) == 1
    _die(queue, HEARTBEAT_TIMEOUT_MS - 1_000)
    assert other.take(QUEUE, 10, []) == []
    _die(queue, HEARTBEAT_TIMEOUT_MS + 1_000)
    other._looked.clear()
    other.take(QUEUE, 10, [])  # it looks after it has taken
    assert client.llen(other.key(QUEUE)) == 1
    assert len(other.take(QUEUE, 10, [])) == 1
    assert len(other.take(dq_name(QUEUE), 10, [])) == 1
    other._looked.clear()
    assert other.take(QUEUE, 10, []) == other.take(dq_name(QUEUE), 10, []) == []
    members = other.servers.client.zrange(other._heartbeats(QUEUE), 0, -1)
    assert members == [other.broker_id.encode()], "it is looked for no more"


def test_one_that_was_heard_of_since_keeps_its_messages(
    settings: Settings, store: Store, queue: Queue, event: Event
) -> None:
    """Between being found and being taken over it said that it lives."""
    dead, other = queue.broker, Queue.connect(settings, store, connections=2).broker
    _sent(queue, event)
    dead.take(QUEUE, 1, [])
    names = [other._heartbeats(QUEUE)]
    for name in (QUEUE, dq_name(QUEUE)):
        names += [other.key(name), other.key(name, ".msgs"), other._acks(name, dead.broker_id)]
    before = other.now_ms() - HEARTBEAT_TIMEOUT_MS
    script: Any = other._take_over
    (given,) = other.servers.send([("EVALSHA", script.sha, len(names), *names, dead.broker_id, before)])
    assert given == 0
    assert other.take(QUEUE, 10, []) == []


def test_dead_letters_are_forgotten_after_a_week(queue: Queue) -> None:
    """Not those of yesterday."""
    broker, client = queue.broker, queue.broker.servers.client
    now, day = broker.now_ms(), 86_400_000
    letters, texts = broker.key(QUEUE, ".XQ"), broker.key(QUEUE, ".XQ.msgs")
    client.zadd(letters, {"old": now - 8 * day, "young": now - day})
    client.hset(texts, mapping={"old": "-", "young": "-"})
    broker.take(QUEUE, 1, [])
    assert client.zrange(letters, 0, -1) == client.hkeys(texts) == [b"young"]


def _id(message: bytes) -> str:
    return str(Message.decode(message).options["redis_message_id"])
