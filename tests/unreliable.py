"""A web server on loopback that answers as a test has written down: errors, nothing at all, half an answer."""

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class Says(NamedTuple):
    """An answer; without a status none: the connection is reset once the request was read."""

    status: int | None = None
    body: object = None
    headers: Mapping[str, str] = {}
    kind: str = "application/json"


def refusal(status: int, slug: str, **members: object) -> Says:
    """A problem. `retry_after` is a header."""
    after = members.pop("retry_after", None)
    told = {"type": f"/problems/{slug}", "title": "", "status": status, "detail": "No.", "retryable": True, **members}
    return Says(status, told, {} if after is None else {"Retry-After": str(after)}, "application/problem+json")


class Unreliable:
    """What it says, one after another; the last for ever.

    Attributes:
        asked: every request.
    """

    def __init__(self, *script: Says) -> None:
        self.script = list(script)
        self.asked: list[Asked] = []
        unreliable = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                unreliable.asked.append(Asked(self.command, self.path, headers, body))
                says = unreliable.script.pop(0) if len(unreliable.script) > 1 else unreliable.script[0]
                if says.status is None:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                    return
                text = says.body if isinstance(says.body, str) else json.dumps(says.body)
                self.send_response(says.status)
                self.send_header("Content-Type", says.kind)
                self.send_header("Content-Length", str(len(text)))
                for name, value in says.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - as the library has them

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def answering(*script: Says) -> Iterator[Unreliable]:
    """A server that says this."""
    server = Unreliable(*script)
    try:
        yield server
    finally:
        server.close()
