"""Tells whoever asked for it what happens in events: a process of its own, because its threads wait for strangers.

One thread follows the events that have webhooks and claims the messages that are due; each is sent by the actor
`deliver_webhook`, by whichever process has a thread free. The log of messages is the truth, and a message of the queue
only wakes: what the queue loses is claimed again.
"""

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import dramatiq
import redis
import structlog
from dramatiq import Actor, Broker, Message, Worker
from structlog.contextvars import bound_contextvars

from actors.broker import ReservationBroker
from actors.middleware import process_id
from actors.posting import Poster, delay_ms
from actors.repeating import repeating
from actors.watchdog import Watchdog
from reservation import keys, lifeline, metrics, signals
from reservation.errors import ReservationError, StateUnavailable
from reservation.fleet import HEARTBEAT_S
from reservation.ids import DeliveryId
from reservation.settings import Settings
from reservation.store import Store
from reservation.webhooks import Outcome

log = structlog.get_logger()

#: The queue of all messages to webhooks: no worker of seats takes from it.
QUEUE = "webhooks"
#: Events that are followed in one go: while Redis is busy with that, it serves nobody else.
_EVENTS_PER_LOOK = 10
#: Messages that wait in the queue before no more are claimed.
_MOST_WAITING = 1_000
#: Events of the slow walk that a pass looks at.
_WALK_PER_PASS = 100
#: How long an idle thread waits before it looks whether it shall stop, ms.
_IDLE_MS = 1_000


class Sender:
    """Sends messages, and claims those that are to be sent.

    Arguments:
        store: where the log is.
        broker: whose messages wake the actor.
        poster: what speaks to receivers.
        chance: makes the jitter.
    """

    def __init__(
        self, store: Store, broker: ReservationBroker, poster: Poster, chance: Callable[[], float] = random.random
    ) -> None:
        self._store, self._broker, self._poster, self._chance = store, broker, poster, chance
        self._walked = 0
        self._events: list[str] = []
        self._actor = declare(broker, self)

    def follow(self) -> None:
        """One pass: makes messages of what has happened, and wakes the actor for those that are due. Passes over what
        is on a node of a cluster that is gone. Raises StateUnavailable."""
        self._of_the_rest(self._look_for_events)
        claim = self._has_room()
        for first in range(0, len(self._events), _EVENTS_PER_LOOK):
            self._of_the_rest(partial(self._follow, self._events[first : first + _EVENTS_PER_LOOK], claim=claim))
        self._of_the_rest(self._walk)

    def _look_for_events(self) -> None:
        self._events = self._store.webhooks.events()

    def _of_the_rest(self, look: Callable[[], None]) -> None:
        """Looks; where it was on a node that is gone, what is on others is seen to all the same. Raises
        StateUnavailable where there is one server only."""
        try:
            look()
        except StateUnavailable as error:
            if not self._store.servers.many:
                raise
            log.warning("passed over what is on a node that is gone", error=str(error.__cause__ or error))

    def _has_room(self) -> bool:
        """Whether the queue takes messages. Those of a backlog are claimed again once their claims have lapsed, and
        would make it longer."""
        try:
            return self._broker.depth([QUEUE]) < _MOST_WAITING
        except redis.RedisError as error:
            log.warning("queue unreachable", error=str(error))
            return False

    def _follow(self, left: Sequence[str], *, claim: bool) -> None:
        while left:
            found = self._store.webhooks.follow(left, claim=claim)
            for event_id, following in found.items():
                if following.missed:
                    metrics.WEBHOOK_MISSED.inc(following.missed)
                    log.error(
                        "changes not told: they are not kept any more", event_id=event_id, missed=following.missed
                    )
                self._wake(event_id, following.claimed)
            left = [event_id for event_id, following in found.items() if following.more]

    def send(self, event_id: str, delivery: DeliveryId) -> None:
        """Sends a message, if it is still to be sent, and writes what came of it. Raises StateUnavailable: then it
        counts as lost, and is sent again."""
        attempt = self._store.webhooks.begin(event_id, delivery)
        if attempt is None:
            return
        began = time.monotonic()
        outcome, wait_s = self._poster.post(attempt)
        if not outcome.arrived and not outcome.gone:
            outcome = outcome._replace(again_ms=delay_ms(attempt.tried + 1, self._chance(), wait_s))
        metrics.webhook_answered(_named(outcome), time.monotonic() - began)
        log.info(
            "message sent" if outcome.arrived else "message not delivered",
            status=outcome.status_code,
            error=outcome.error,
            attempt=attempt.tried + 1,
            again_ms=outcome.again_ms,
        )
        disabled, claimed = self._store.webhooks.end(event_id, attempt, outcome)
        if disabled:
            log.warning("webhook disabled", event_id=event_id, webhook=delivery.hook, why=disabled)
        self._wake(event_id, claimed)

    def _wake(self, event_id: str, deliveries: Sequence[DeliveryId]) -> None:
        messages: list[Message[None]] = [self._actor.message(event_id, str(delivery)) for delivery in deliveries]
        if not messages:
            return
        try:
            failed = list(self._broker.enqueue_all(messages).values())
        except redis.RedisError as error:
            failed = [error]
        if failed:  # their claims lapse
            log.warning("queue unreachable", messages=len(messages), error=str(failed[0]))

    def _walk(self) -> None:
        """The next stretch of all events: repairs the index, which in a cluster may be lost with another node."""
        page = self._store.events.page(self._walked, _WALK_PER_PASS)
        self._walked = self._walked + len(page) if len(page) == _WALK_PER_PASS else 0
        self._store.webhooks.find(page)


def _named(outcome: Outcome) -> str:
    """An outcome as it is counted."""
    if outcome.arrived:
        return "delivered"
    if outcome.gone:
        return "gone"
    return "failed" if outcome.again_ms is None else "retried"


def declare(broker: Broker, sender: Sender) -> Actor[[str, str], None]:
    """Declares the actor on a broker. Nothing is retried by Dramatiq: the log says when."""

    @dramatiq.actor(broker=broker, queue_name=QUEUE)
    def deliver_webhook(event_id: str, delivery: str) -> None:
        """Sends a message to a webhook."""
        with bound_contextvars(event_id=event_id, delivery=delivery):
            try:
                sender.send(event_id, DeliveryId.parse(delivery))
            except ReservationError as error:
                log.warning("message not sent, or not noted", error=str(error.__cause__ or error))

    return deliver_webhook


def connect(settings: Settings) -> ReservationBroker:
    """The broker of the one queue; nothing is sent yet."""
    threads = settings.webhook_threads
    broker = ReservationBroker(settings.queue_url, [], connections=threads + 4, prefetch=threads)
    broker.declare_queue(QUEUE)
    return broker


def run(settings: Settings) -> None:
    """Follows and sends until SIGTERM or SIGINT; then ends what it has begun, for as long as a worker may. What it does
    not end is sent again. Exits with status 1 if a thread had ended by itself."""
    signals.hold_back()
    lifeline.watch()
    stopping = threading.Event()
    store = Store.connect(settings, connections=settings.webhook_threads + 3)
    broker = connect(settings)
    sender, name = Sender(store, broker, Poster(allow_private=settings.webhook_allow_private == "on")), process_id()
    worker = Worker(broker, worker_threads=settings.webhook_threads, worker_timeout=_IDLE_MS)
    worker.start()
    threads = [
        repeating("follow", sender.follow, settings.sweep_interval, stopping),
        repeating("heartbeat", lambda: store.fleet.beat(keys.SENDERS, name), HEARTBEAT_S, stopping),
    ]
    for thread in threads:
        thread.start()
    watchdog = Watchdog(lambda: [*threads, *worker.consumers.values(), *worker.workers], settings.heartbeat_file)
    watchdog.start()
    log.info("webhooks started", threads=settings.webhook_threads)
    lifeline.ready()
    signals.wait_for_stop()
    watchdog.stop()
    stopping.set()
    for thread in threads:
        thread.join()
    worker.stop(timeout=round(settings.worker_shutdown_timeout * 1000))
    try:
        store.fleet.leave(keys.SENDERS, name)
    except ReservationError:
        log.warning("could not sign off; the heartbeat lapses by itself")
    log.info("webhooks stopped")
    if watchdog.found:
        sys.exit(1)
