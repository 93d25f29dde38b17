"""Middleware: the trace and the log context of a message, and the worker's heartbeat."""

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import redis
import structlog
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware

import reservation
from actors.lanes import VIP
from reservation import keys, tracing
from reservation.errors import ReservationError
from reservation.fleet import HEARTBEAT_S, Lag
from reservation.ids import JobId
from reservation.store import Store

if TYPE_CHECKING:
    from actors.broker import ReservationBroker

log = structlog.get_logger()

#: A job that runs for longer is shown as active, seconds. Most end long before.
_ACTIVE_AFTER_S = 0.5


def process_id() -> str:
    """A name for this process that no other has. It ends in the version, for those who upgrade."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}@{reservation.__version__}"


def _is_job(subject: str) -> bool:
    """Whether a message's argument is a job's id rather than an event's."""
    return "-" in subject


class Traced(Middleware):
    """Continues the trace of whoever sent a message. The first of all, so that what the others do and log belongs to
    it; only there when there are traces."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Begins the message's span."""
        attributes = {
            "messaging.system": "dramatiq",
            "messaging.operation.type": "process",
            "messaging.destination.name": message.queue_name,
            "messaging.message.id": message.message_id,
        }
        tracing.begin("CONSUMER", f"process {message.actor_name}", tracing.called(message.options), attributes)

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, exception: BaseException | None = None, **_: Any
    ) -> None:
        """Ends it."""
        tracing.end(error="" if exception is None else type(exception).__name__)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Ends it."""
        tracing.end()


class LogContext(Middleware):
    """Puts actor, job id and request id on every line that is logged while a message is processed."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Binds the context of this thread."""
        subject = str(message.args[0])
        structlog.contextvars.bind_contextvars(
            actor=message.actor_name,
            request_id=message.kwargs.get("request_id", ""),
            **{"job_id" if _is_job(subject) else "event_id": subject},
        )

    def after_process_message(self, broker: Broker, message: MessageProxy, **_: Any) -> None:
        """Unbinds it."""
        structlog.contextvars.unbind_contextvars("actor", "request_id", "job_id", "event_id")

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Unbinds it."""
        self.after_process_message(broker, message)


class Heartbeat(Middleware):
    """Says once a second that this worker lives, how long jobs wait for it, and which of its jobs
    are taking long: those are marked active, at no cost to the others.

    Arguments:
        store: where heartbeats go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._id = process_id()
        self._running: dict[str, tuple[float, str]] = {}
        self._waited = [-1, -1]
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def after_worker_boot(self, broker: Broker, worker: object) -> None:
        """Starts beating."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def before_worker_shutdown(self, broker: Broker, worker: object) -> None:
        """Takes this worker off the list."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._leave()

    def after_worker_shutdown(self, broker: Broker, worker: object) -> None:
        """Tells what was counted while it finished what it had begun."""
        self._leave()

    def _leave(self) -> None:
        try:
            self._store.fleet.leave(keys.WORKERS, self._id)
        except ReservationError:
            log.warning("could not sign off; the heartbeat lapses by itself")

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Notes when the job was started, and how long its message had waited: the message's own time, not
        the job's, of which lost messages are a part."""
        with suppress(redis.RedisError):  # then its clock is not known
            now_ms = cast("ReservationBroker", broker).now_ms()
            # Its sender may have read another clock: less than nothing is nothing, and not that nobody knows.
            vip = message.queue_name.endswith(VIP)
            self._waited[vip] = max(self._waited[vip], 0, now_ms - message.options.get("sent_at", now_ms))
        self._running[message.message_id] = (time.monotonic(), str(message.args[0]))

    def after_process_message(self, broker: Broker, message: MessageProxy, **_: Any) -> None:
        """Forgets the job."""
        self._running.pop(message.message_id, None)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Forgets the job."""
        self._running.pop(message.message_id, None)

    def _beat(self) -> None:
        while True:
            waited, self._waited = self._waited, [-1, -1]
            try:
                self._store.fleet.beat(keys.WORKERS, self._id, Lag(*waited))
                self._show_active()
            except ReservationError as error:
                log.warning("heartbeat broke off", error=str(error.__cause__ or error))
            except Exception:
                log.exception("heartbeat failed")
            if self._stopping.wait(HEARTBEAT_S):
                return

    def _show_active(self) -> None:
        before = time.monotonic() - _ACTIVE_AFTER_S
        for started, subject in list(self._running.values()):
            if started < before and _is_job(subject):
                self._store.jobs.mark_active(JobId.parse(subject))
