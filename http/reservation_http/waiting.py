"""Answers that come once a job has ended: `Prefer: wait` (RFC 7240) and long polls."""

import re
import time
from urllib.request import parse_http_list

import falcon

from reservation.fleet import Lag
from reservation.ids import JobId
from reservation.models import Job
from reservation.waits import Waits

HEADER = "Prefer"
#: Longest that an answer is kept back, seconds: shorter than what stands in between waits for one.
LONGEST_WAIT_S = 30

_WAIT = re.compile(r'wait\s*=\s*("?)([0-9]{1,9})\1\s*(;.*)?', re.IGNORECASE | re.DOTALL).fullmatch
_ANY_WAIT = re.compile(r"wait\s*([=;]|$)", re.IGNORECASE).match


def preferred_wait(req: falcon.Request) -> int:
    """How many seconds the client would wait for a job to end, rather than be told that it is on its way; 0 if it does
    not say so. What cannot be understood is ignored, and of several the first counts (RFC 7240, section 2)."""
    given = req.get_header(HEADER)
    for preference in parse_http_list(given) if given else ():
        if _ANY_WAIT(preference):
            wait = _WAIT(preference)
            return min(int(wait[2]), LONGEST_WAIT_S) if wait else 0
    return 0


def await_job(
    req: falcon.Request, waits: Waits, job_id: JobId, wait_s: int, lag: Lag, viewer: str | None
) -> Job | None:
    """See `Waits.job`. How long that takes says nothing about how the service is doing, and is noted apart."""
    began = time.perf_counter()
    is_gone = req.env.get("waitress.client_disconnected", lambda: False)  # as Waitress calls it
    job = waits.job(job_id, wait_s, lag, viewer, is_gone)
    if job is not None:
        req.context.waited_s = time.perf_counter() - began
    return job
