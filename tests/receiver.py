"""Somebody who is told what happens: a web server on a thread of this process, over TLS if it has a certificate."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import orjson
from standardwebhooks import Webhook

from tests.tls import Certificate


class Post(NamedTuple):
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(self.body)
        return message

    def verified(self, secret: str) -> dict[str, Any]:
        """The message, once the library of the specification has found it to be signed. Raises
        WebhookVerificationError."""
        message: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return message


#: What is answered: a status, or a status with headers, or None for nothing at all: the connection is closed.
Answer = int | tuple[int, Mapping[str, str]] | None


class Receiver:
    """What came, in order, and what is answered.

    Attributes:
        posts: all requests.
        accepted: those that were answered with 2xx.
        answer: says what to answer to each.
    """

    def __init__(self, address: str, port: int, tls: Certificate | None) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                post = Post(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver.posts.append(post)
                answer = receiver.answer(post)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", "0")
                self.end_headers()
                if status < 300:
                    receiver.accepted.append(post)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Who connects and goes is what some tests are about."""

        self.posts: list[Post] = []
        self.accepted: list[Post] = []
        self.answer: Callable[[Post], Answer] = lambda _: 200
        self._server = Server((address, port), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hooks"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def ids(self) -> list[str]:
        return [post.id for post in self.posts]


@contextmanager
def receiving(
    *answers: Answer, address: str = "127.0.0.1", port: int = 0, tls: Certificate | None = None
) -> Iterator[Receiver]:
    """A receiver for as long as it lasts.

    Arguments:
        answers: to the first requests, one after the other; the last to all others. 200 if there is none.
    """
    receiver = Receiver(address, port, tls)
    given = list(answers or [200])
    receiver.answer = lambda _: given.pop(0) if len(given) > 1 else given[0]
    try:
        yield receiver
    finally:
        with suppress(OSError):
            receiver.close()
