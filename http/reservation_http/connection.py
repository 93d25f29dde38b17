"""Waitress's parts, as this service wants them: what is slow can be told, what is refused is a problem.

Waitress lets a server choose the classes of its connections, parsers and tasks by class attributes;
everything of Waitress that is not its documented interface is used here and in `server` only.
"""

import socket
import time

import orjson
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask

from reservation import metrics
from reservation_http.problems import KINDS, MEDIA_TYPE, body

#: What Waitress refuses before the application is asked, by status.
_REFUSED = {413: "body-too-large", 431: "head-too-large", 501: "not-implemented", 500: "internal-error"}

#: How long a client has to take an answer before its connection may be closed for somebody else's, seconds.
_PATIENCE_S = 1.0


class _StrictParser(HTTPRequestParser):  # type: ignore[misc]  # waitress publishes no types
    """Knows when its request began to arrive, and refuses more than Waitress does."""

    def __init__(self, adjustments: object) -> None:
        super().__init__(adjustments)
        self.began = time.time()

    def parse_header(self, header_plus: bytes) -> None:
        """Refuses what can be read in two ways (RFC 9112, sections 2.3, 3.2 and 6.3), by a proxy and by Waitress."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a number of a thousand digits, a bracket in a host
            raise ParsingError(str(error)) from None
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("HTTP version")
        host = self.headers.get("HOST")
        if (host is None and self.version == "1.1") or (host is not None and "," in host):
            raise ParsingError("Host")
        # Waitress takes Transfer-Encoding out of the headers where it goes by it.
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Transfer-Encoding and Content-Length")


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
        metrics.request_answered(metrics.OTHER, None, kind.status, 0)  # nobody has begun to answer it


class Connection(HTTPChannel):  # type: ignore[misc]  # waitress publishes no types
    """A client's connection. Once the server is stopping it is not kept: a busy client would keep it open."""

    parser_class = _StrictParser
    error_task_class = _ProblemTask
    #: When its last answer was begun, epoch seconds.
    answered = 0.0

    @property
    def spare(self) -> tuple[int, float] | None:
        """How gladly it would be done without: the least first. None while it is being answered."""
        if self.total_outbufs_len:
            return (3, self.answered) if self.answered < time.time() - _PATIENCE_S else None
        if self.requests:
            return None
        return (1, self.last_activity) if self.request is None else (2, self.request.began)

    def is_slow(self, now: float, arrive_s: float, read_s: float) -> bool:
        """Whether its request has been arriving for longer than `arrive_s`, or its client has not read its answer
        in `read_s`. Waitress's own timeout starts anew with each byte, so clients that drip could stay for ever."""
        if self.request is not None:
            return bool(self.request.began < now - arrive_s)
        return bool(self.total_outbufs_len and self.answered < now - read_s)

    def check_client_disconnected(self) -> bool:
        """Whether the client has gone, or at least sends nothing more. Waitress calls this for applications that want
        to know; its own would have to read on while a request is being answered."""
        try:
            return not self.connected or self.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def service(self) -> None:
        """Answers one request, from a thread of the pool."""
        self.answered = time.time()
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
