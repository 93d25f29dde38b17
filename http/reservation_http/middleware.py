"""Request ids and the access log."""

import random
import re
import time
from typing import Any

import falcon
import structlog

log = structlog.get_logger()

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
        # It is no secret, and the system's random numbers cost a switch of threads.
        request_id = given if given and _REQUEST_ID(given) else f"{random.getrandbits(64):016x}"
        req.context.request_id = request_id
        req.context.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        resp.set_header("X-Request-ID", request_id)
        resp.set_header("X-Content-Type-Options", "nosniff")

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Logs the answer."""
        # Falcon asks nobody beforehand about a method that it takes for a WebSocket's.
        context = req.context
        started = getattr(context, "started", time.perf_counter())
        job_id = getattr(context, "job_id", None)
        self._log.info(
            "request",
            request_id=getattr(context, "request_id", ""),
            method=req.method,
            path=req.path,
            status=resp.status_code,
            ms=round((time.perf_counter() - started) * 1000, 2),
            **({"job_id": job_id} if job_id else {}),
        )
