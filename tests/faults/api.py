"""The service as a client has it: one request at a time, over HTTP, with whatever comes back."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import httpx

from tests.faults.history import now_ms

#: Longest wait for any step of a request, seconds.
TIMEOUT_S = 3.0

_REFUSALS = {
    "hold": {"seat-held", "seat-reserved", "seat-blocked", "limit-reached"},
    "reserve": {"not-holder", "not-on-hold", "seat-reserved", "seat-blocked", "reserve-pending"},
    "refresh": {"not-holder", "not-on-hold", "seat-reserved", "seat-blocked", "reserve-pending", "hold-ceiling"},
    "release": {"not-holder", "seat-reserved", "reserve-pending"},
    "cancel": {"not-owner", "not-reserved"},
    "block": {"seat-held", "seat-reserved"},
    "best": {"no-seats-together", "too-few-seats", "limit-reached"},
    "pushed": {"admission-required", "sales-not-open"},
    "status": {"not-found"},
}


class Turn(TypedDict, total=False):
    """When a job is to be carried out, as the API has it."""

    priority: str
    notBefore: int


class Unexpected(Exception):
    """Raised when the service refuses what, by the guide to its API, it cannot refuse so."""


class Answer(NamedTuple):
    """What came back for a request. Times in epoch ms.

    Attributes:
        status: HTTP status, 0 if there was no answer.
        sent: whether the service may have received the request.
    """

    call_ms: int
    return_ms: int
    status: int
    body: dict[str, Any]
    sent: bool = True

    @property
    def unknown(self) -> bool:
        """Whether the request may have had an effect that nobody was told of."""
        return self.sent and (self.status == 0 or self.status >= 500)

    @property
    def slug(self) -> str:
        """The kind of problem, if it is one."""
        return str(self.body.get("type", "")).removeprefix("/problems/") if self.status >= 400 else ""


class Traffic:
    """Statistics of requests. Safe to use from several threads.

    Attributes:
        answers: requests by kind and answer: status and problem, or the exception's name.
        unavailable: each 503: when it was asked for, epoch ms, and how long it took, ms.
        slowest_ms: how long any request took at most.
    """

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()
        self.unavailable: list[tuple[int, int]] = []
        self.slowest_ms = 0
        self._lock = threading.Lock()

    @property
    def requests(self) -> Counter[str]:
        """Requests by kind; `status` is a look at a job."""
        kinds: Counter[str] = Counter()
        for (kind, _), number in self.answers.items():
            kinds[kind] += number
        return kinds

    def note(self, kind: str, name: str, answer: Answer) -> None:
        """Counts a request by the name of its answer."""
        took_ms = answer.return_ms - answer.call_ms
        with self._lock:
            self.answers[kind, name] += 1
            self.slowest_ms = max(self.slowest_ms, took_ms)
            if answer.status == 503:
                self.unavailable.append((answer.call_ms, took_ms))


class Api:
    """A user's connection to the service. Enter it to open it; what breaks is made anew by itself.

    Arguments:
        urls: where the service is, for ever: after each request without an answer the next is taken.
        user: the UUID that is presented.
        traffic: where requests are counted.

    Attributes:
        unserved: whether the last request had no answer or a 503.
    """

    def __init__(self, urls: Iterator[str], user: str, traffic: Traffic) -> None:
        self.unserved = False
        self._urls = urls
        self._url = next(urls)
        self._user = user
        self._traffic = traffic

    def __enter__(self) -> "Api":
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=False, headers={"X-User-UUID": self._user})
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(
        self, kind: str, seats: Sequence[str], request_id: str, admission: str = "", turn: Turn | None = None
    ) -> Answer:
        """Does something to one seat or several. Raises Unexpected."""
        headers = {"X-Request-ID": request_id}
        if kind in ("block", "unblock"):
            event_id = seats[0].partition("-")[0]
            return self._send(kind, "POST", f"/events/{event_id}/{kind}", {"ids": seats}, headers)
        named = {"id": seats[0]} if len(seats) == 1 else {"ids": seats}
        about = {**named, "UUID": self._user, **(turn or {})}
        return self._send(kind, "POST", f"/seats/{kind}", about, headers, admission)

    def ask(self, kind: str, path: str, body: object, key: str = "", admission: str = "") -> Answer:
        """Asks for something else. Raises Unexpected.

        Arguments:
            key: the Idempotency-Key, under which it is done once, however often it is asked for.
        """
        return self._send(kind, "POST", path, body, {"Idempotency-Key": key} if key else {}, admission)

    def get(self, kind: str, path: str) -> Answer:
        """Reads something. Raises Unexpected."""
        return self._send(kind, "GET", path)

    def _send(
        self,
        kind: str,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        admission: str = "",
    ) -> Answer:
        headers = {**(headers or {}), **({"Admission": admission} if admission else {})}
        call_ms = now_ms()
        try:
            response = self._http.request(method, self._url + path, json=body, headers=headers)
        except httpx.TransportError as error:
            unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            answer, name = Answer(call_ms, now_ms(), 0, {}, not unsent), type(error).__name__
            self._url = next(self._urls)
        else:
            answer = Answer(call_ms, now_ms(), response.status_code, response.json() if response.content else {})
            name = f"{answer.status} {answer.slug}".strip()
        self.unserved = answer.status in (0, 503)
        self._traffic.note(kind, name, answer)
        if 400 <= answer.status < 500 and answer.slug not in _REFUSALS.get(kind, ()):
            raise Unexpected(f"{method} {path}: {name}")
        return answer
