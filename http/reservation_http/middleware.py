"""Request ids and the access log."""

import random
import re
import time
from typing import Any

import falcon
import structlog

from reservation import metrics

log = structlog.get_logger()

#: Statuses of those who may be up to something: it is logged where they come from.
_TELLING = {401, 403, 429}
#: Digits of a UUID, and one in a text.
_UUID_DIGITS = 32
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}").findall
#: A request id that is taken over from the caller. Anything else could forge log lines.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch


class RequestLog:
    """Gives each request an id, the caller's `X-Request-ID` if it is a sound one, and logs the
    answer in one line. The id goes with the job into the worker's log and the change stream."""

    def __init__(self) -> None:
        # Bound, because what `get_logger` gives looks up how it is configured with every line.
        self._log = log.bind()

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Gives the request its id."""
        given = req.get_header("X-Request-ID")
        req.context.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        _name(req, given if given and _REQUEST_ID(given) else _new_id())

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Logs and counts the answer."""
        # Falcon asks nobody beforehand about a method that it takes for a WebSocket's.
        context = req.context
        started = getattr(context, "started", time.perf_counter())
        job_id = getattr(context, "job_id", None)
        request_id = getattr(context, "request_id", "")
        once = getattr(context, "once", None)
        if once is not None and once.replayed:
            resp.set_header("Idempotency-Replayed", "true")
        resp.set_header("X-Request-ID", request_id)
        resp.set_header("X-Content-Type-Options", "nosniff")
        seconds = time.perf_counter() - started
        # What somebody wished to wait for a job is nobody's delay.
        waited_s = getattr(context, "waited_s", 0.0)
        metrics.request_answered(req.method, req.uri_template, resp.status_code, seconds - waited_s)
        # Whoever asks for health asks all the time.
        write = self._log.debug if req.path.startswith("/health/") and resp.status_code == 200 else self._log.info
        write(
            "request",
            request_id=request_id,
            method=req.method,
            path=req.path if req.path.isprintable() else req.path.encode("unicode_escape").decode(),
            status=resp.status_code,
            ms=round(seconds * 1000, 2),
            **({"job_id": job_id} if job_id else {}),
            **({"waited_ms": round(waited_s * 1000, 2)} if waited_s else {}),
            **({"address": getattr(context, "address", "")} if resp.status_code in _TELLING else {}),
        )


def hide_user(req: falcon.Request, said: str | bytes) -> None:
    """Gives a request another id if the caller's is a UUID that they say they are: it goes into logs, jobs and change
    streams.

    Arguments:
        said: the user, or a body that names one.
    """
    given = req.context.request_id
    if len(given) < _UUID_DIGITS:
        return
    digits = given.lower().replace("-", "")
    text = said if isinstance(said, str) else said.decode(errors="ignore")
    if any(found.replace("-", "") in digits for found in _UUID(text.lower())):
        _name(req, _new_id())


def _new_id() -> str:
    # It is no secret, and the system's random numbers cost a switch of threads.
    return f"{random.getrandbits(64):016x}"


def _name(req: falcon.Request, request_id: str) -> None:
    req.context.request_id = request_id
    structlog.contextvars.bind_contextvars(request_id=request_id)
