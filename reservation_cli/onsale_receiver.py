"""Receives webhooks: the organiser's server of the `onsale` demo."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from reservation_cli.onsale_check import Message

#: How old a message may be, seconds: later somebody may have kept it, to send it now.
_FRESH_S = 300


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a message is from who has the secret, and of now (https://www.standardwebhooks.com).

    Arguments:
        headers: with names in lower case.
    """
    id_, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > _FRESH_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{id_}.{timestamp}.".encode() + body, "sha256")
    expected = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(expected, given) for given in headers.get("webhook-signature", "").split())


class Receiver:
    """A server that takes messages. Enter it to start it. Raises OSError for an address that is not this machine's.

    Arguments:
        address: where it listens.

    Attributes:
        secret: that they are signed with; none is believed before it is known.
        forged: messages with another signature.
        repeated: messages that had come before.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.secret = ""
        self.forged = 0
        self.repeated = 0
        self._messages: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = receiver._take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(204 if known else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing: what comes is shown as a number."""

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    def messages(self) -> list[Message]:
        """What was told of seats, once for each id."""
        with self._lock:
            told = list(self._messages.values())
        return [
            Message(each["type"], data["seat"], data["sequence"], data.get("actor"))
            for each in told
            if "sequence" in (data := each["data"])
        ]

    def __len__(self) -> int:
        return len(self._messages)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, headers: Mapping[str, str], body: bytes) -> bool:
        if not self.secret or not is_signed(self.secret, headers, body):
            with self._lock:
                self.forged += bool(self.secret)
            return False
        with self._lock:
            self.repeated += headers["webhook-id"] in self._messages
            self._messages[headers["webhook-id"]] = json.loads(body)
        return True
