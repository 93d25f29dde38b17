"""Sends a message to a webhook, once: signed (https://www.standardwebhooks.com), to an address that was checked, and
within bounded time.

httpcore has no proxies, redirects, cookies or environment of its own; all it connects with is the backend here.
"""

import base64
import hashlib
import hmac
import math
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import structlog

import reservation
from reservation.outside import NotAllowed, Resolver, addresses, host_of, look_up, parse
from reservation.webhooks import Attempt, Outcome

log = structlog.get_logger()

#: Longest wait for a connection, TLS included, and for all of it, seconds. Finding the address of a name comes on top,
#: which the system bounds.
CONNECT_S, TOTAL_S = 5.0, 15.0
#: Of an answer's body so much is read, bytes, so that its sender need not see the connection reset. Nobody looks at it.
_BODY = 4_096

#: Attempts follow each other after so many seconds on average, which is 24 hours in all.
_DELAYS_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
#: Longest that a receiver may have us wait, beyond that, seconds.
_RETRY_AFTER_S = 3_600


def delay_ms(tried: int, chance: float, retry_after_s: float = 0) -> int | None:
    """How long to wait after a failed attempt, ms; None if it was the last. Full jitter: anything from nothing to twice
    the average, so that those who failed together do not come back together.

    Arguments:
        tried: attempts, that one included.
        chance: from 0 to 1.
        retry_after_s: what the receiver asked for.
    """
    if tried > len(_DELAYS_S):
        return None
    wait_s = 2 * _DELAYS_S[tried - 1] * chance
    return round(1000 * max(wait_s, min(retry_after_s, _RETRY_AFTER_S)))


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message: `v1,` and HMAC-SHA256 in base64.

    Arguments:
        secret: `whsec_` and the key in base64.
        timestamp: of the attempt, epoch seconds.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


class Poster:
    """Sends messages.

    Arguments:
        allow_private: whether to http and to private addresses, too.
        resolve: finds the address of a name.
        tls: whom to believe; by default the authorities that the system and certifi know.
        connect_s, total_s: longest waits; replaced where a test cannot wait for them.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        resolve: Resolver = look_up,
        tls: ssl.SSLContext | None = None,
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
    ) -> None:
        self._allow_private, self._resolve = allow_private, resolve
        self._tls = tls or httpcore.default_ssl_context()
        self._connect_s, self._total_s = connect_s, total_s

    def post(self, attempt: Attempt) -> tuple[Outcome, float]:
        """Sends a message; returns what came of it, and how long the receiver asks to wait, seconds. Never raises."""
        try:
            return self._post(attempt)
        except NotAllowed:
            return Outcome(None, "address-not-allowed"), 0
        except httpcore.TimeoutException:
            return Outcome(None, "timeout"), 0
        except httpcore.ConnectError:
            return Outcome(None, "not-connected"), 0
        except _NotTrusted:
            return Outcome(None, "tls"), 0
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return Outcome(None, "no-answer"), 0
        except _NotFound:
            return Outcome(None, "host-not-found"), 0
        except Exception:  # it must not keep the message from being tried again, nor from being given up
            log.exception("message not sent", delivery=str(attempt.id))
            return Outcome(None, "internal-error"), 0

    def _post(self, attempt: Attempt) -> tuple[Outcome, float]:
        url = parse(attempt.url, allow_private=self._allow_private)
        host, port = host_of(url)
        timestamp = attempt.now_ms // 1000
        headers = [
            ("Host", host_header(url)),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(attempt.body))),
            ("User-Agent", f"seat-reservation/{reservation.__version__}"),
            ("Connection", "close"),
            ("webhook-id", str(attempt.id)),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", sign(attempt.secret, str(attempt.id), timestamp, attempt.body)),
        ]
        target = httpcore.URL(
            scheme=url.scheme.encode(),
            host=host.encode("ascii"),
            port=port,
            target=((url.path or "/") + (f"?{url.query}" if url.query else "")).encode("ascii"),
        )
        network = _Network(self._resolve, self._total_s, allow_private=self._allow_private)
        waits = {"connect": self._connect_s, "read": self._total_s, "write": self._total_s}
        with (
            httpcore.ConnectionPool(ssl_context=self._tls, network_backend=network) as pool,
            pool.stream("POST", target, headers=headers, content=attempt.body, extensions={"timeout": waits}) as answer,
        ):
            outcome = Outcome(answer.status)
            wait_s = _retry_after_s(answer.headers)
            _drop(answer.iter_stream())
        return outcome, wait_s


def host_header(url: Any) -> str:
    """The host as a request names it."""
    standard = {"https": 443, "http": 80}[url.scheme]
    return str(url.host) if url.port in (None, standard) else f"{url.host}:{url.port}"


def _retry_after_s(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """What an answer asks to wait, seconds. A date (RFC 9110, section 10.2.3) is nobody's clock but its own: not
    read."""
    given = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return float(given) if given.isdigit() and len(given) < 10 else 0


def _drop(parts: Iterable[bytes]) -> None:
    read = 0
    try:
        for part in parts:
            read += len(part)
            if read > _BODY:
                return
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        return  # it has answered


class _NotFound(Exception):
    """Raised when a name has no address."""


class _NotTrusted(Exception):
    """Raised when the other end does not speak TLS, or is not who it should be."""


class _Network(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and to no other, and to nothing after its time.

    Arguments:
        resolve: finds the address of a name.
        total_s: how long all of it may take, seconds, once the address is known.
        allow_private: whether addresses may be any.
    """

    def __init__(self, resolve: Resolver, total_s: float, *, allow_private: bool) -> None:
        self._resolve, self._total_s, self._allow_private = resolve, total_s, allow_private
        self._system = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connects to the first of the host's addresses that answers."""
        try:
            found = addresses(host, port, self._resolve, allow_private=self._allow_private)
        except (OSError, UnicodeError) as error:
            raise _NotFound from error
        until = time.monotonic() + self._total_s
        connect_until = time.monotonic() + (timeout or math.inf)
        for place, address in enumerate(found, 1):
            try:
                left = max(0.001, connect_until - time.monotonic())
                return _Stream(self._system.connect_tcp(address, port, left, local_address, socket_options), until)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(found) or time.monotonic() >= connect_until:
                    raise
        raise AssertionError("there is an address, or NotAllowed or OSError was raised")


class _Stream(httpcore.NetworkStream):
    """A connection whose time is over at some moment, however slowly its other end goes on.

    Arguments:
        stream: the connection.
        until: that moment (time.monotonic).
    """

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream, self._until = stream, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Reads some. Raises httpcore.ReadTimeout."""
        return self._stream.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Writes all. Raises httpcore.WriteTimeout."""
        self._stream.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Closes it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Goes on in TLS: the certificate has to be the host's, by whatever address it was found."""
        left = self._left(timeout, httpcore.ConnectTimeout)
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._until)
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise _NotTrusted from error
            raise

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._stream.get_extra_info(info)

    def _left(self, timeout: float | None, error: type[Exception]) -> float:
        left = min(timeout or math.inf, self._until - time.monotonic())
        if left <= 0:
            raise error
        return left
