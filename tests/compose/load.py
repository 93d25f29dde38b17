"""Clients that hold seats through HAProxy, and count what became of every request."""

import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from types import TracebackType

import httpx


@dataclass(frozen=True)
class Request:
    """One that was sent.

    Attributes:
        what: its method and path.
        sent_s: when, by the monotonic clock.
        ended_s: when it was answered, or given up.
        outcome: the status, or the name of the error.
    """

    what: str
    sent_s: float
    ended_s: float
    outcome: str

    @property
    def failed(self) -> bool:
        """Whether it had no answer, or one that is not the service's word on the request."""
        return self.outcome not in ("200", "201", "202", "409")


class Load:
    """Clients at work. Enter it to start them; on leaving they stop.

    Arguments:
        url: of the service.
        clients: that send at the same time, one request each.

    Attributes:
        event: whose seats they hold.
    """

    def __init__(self, url: str, clients: int = 8) -> None:
        self._url = url
        self.clients = clients
        self.requests: list[Request] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(random.Random(n),)) for n in range(clients)]  # noqa: S311 - decides whims

    def __enter__(self) -> "Load":
        with httpx.Client(base_url=self._url, trust_env=False) as client:
            answer = client.post("/events/create", json={"name": "Drill", "totalSeats": 5000})
            self.event = str(answer.raise_for_status().json()["id"])
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def failed(self) -> list[Request]:
        """Those that failed."""
        return [request for request in self.requests if request.failed]

    def outcomes(self) -> str:
        """How many ended how."""
        counts = Counter(request.outcome for request in self.requests)
        return ", ".join(f"{number} x {outcome}" for outcome, number in counts.most_common())

    def slowest_ms(self) -> float:
        """The longest that one took."""
        return 1000 * max(request.ended_s - request.sent_s for request in self.requests)

    def _run(self, choices: random.Random) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=20) as client:
            while not self._stop.is_set():
                seat, user = f"{self.event}-{choices.randint(1, 5000)}", str(uuid.uuid4())
                held = self._send(client, "POST", "/seats/hold", user, {"id": seat, "UUID": user})
                if held is not None and held.status_code == 202:
                    self._send(client, "GET", str(held.json()["statusEndpoint"]), user)
                self._send(client, "GET", f"/seats/list/{self.event}?limit=1", user)
                self._stop.wait(choices.uniform(0, 0.05))

    def _send(
        self, client: httpx.Client, method: str, path: str, user: str, body: dict[str, str] | None = None
    ) -> httpx.Response | None:
        sent_s = time.monotonic()
        answer: httpx.Response | None = None
        try:
            answer = client.request(method, path, json=body, headers={"X-User-UUID": user})
            outcome = str(answer.status_code)
        except httpx.TransportError as error:
            outcome = type(error).__name__
        self.requests.append(Request(f"{method} {path}", sent_s, time.monotonic(), outcome))
        return answer
