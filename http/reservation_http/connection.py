"""Waitress's parts, as this service wants them: what is slow can be told, what is refused is a problem.

Waitress lets a server choose the classes of its connections, parsers and tasks by class attributes;
everything of Waitress that is not its documented interface is used here and in `server` only.
"""

import time

import orjson
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask

from reservation_http.problems import KINDS, MEDIA_TYPE, body

#: What Waitress refuses before the application is asked, by status.
_REFUSED = {413: "body-too-large", 431: "head-too-large", 501: "not-implemented", 500: "internal-error"}


class _TimedParser(HTTPRequestParser):  # type: ignore[misc]  # waitress publishes no types
    """Knows when its request began to arrive."""

    def __init__(self, adjustments: object) -> None:
        super().__init__(adjustments)
        self.began = time.time()


class _ProblemTask(ErrorTask):  # type: ignore[misc]  # waitress publishes no types
    """Answers with problem details (RFC 9457), as the application does."""

    def execute(self) -> None:
        kind = KINDS[_REFUSED.get(self.request.error.code, "bad-request")]
        problem = orjson.dumps(body(kind.slug, kind.detail, {}, retryable=False))
        self.status = f"{kind.status} {kind.title}"
        self.response_headers += [("Content-Type", MEDIA_TYPE), ("X-Content-Type-Options", "nosniff")]
        self.set_close_on_finish()
        self.content_length = len(problem)
        self.write(problem)


class Connection(HTTPChannel):  # type: ignore[misc]  # waitress publishes no types
    """A client's connection. Once the server is stopping it is not kept: a busy client would keep it open."""

    parser_class = _TimedParser
    error_task_class = _ProblemTask

    def service(self) -> None:
        """Answers one request, from a thread of the pool."""
        if not self.server.accepting:
            self.requests[0].headers["CONNECTION"] = "close"
        super().service()

    def serve(self) -> None:
        """Answers one request in the loop's own thread, and sends the answer at once rather than when the loop
        comes round to it."""
        try:
            self.service()
            self.handle_write()
        except Exception:  # noqa: BLE001 - as the loop does with what a connection raises in it
            self.handle_error()
