"""What a conversation with the service is made of, without any I/O.

A conversation is a generator: it yields what is to be done next, is sent what came of that, and returns what the caller
wanted. `client.py` carries the steps out, waiting for each or awaiting it; everything else is written once.
"""

import json
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from reservation_client.errors import Problem, UnexpectedAnswer, problem

T = TypeVar("T")

#: What gives a bearer token: the token itself, or what gets a new one when the last is not accepted any more.
TokenSource = str | Callable[[], str | Awaitable[str]]


@dataclass(frozen=True)
class Request:
    """Sent; the step's result is the `Answer`. Raises NoAnswer.

    Attributes:
        path: with its query; or a whole URL, where the service is somewhere else.
        body: what to send as JSON, if it is not None.
        headers: beside those that say who asks.
        repeatable: whether it may be sent twice.
        wait_s: how long the answer is kept back at most, seconds.
        stream: whether the answer has no end: its lines are then got by `NextLine`.
    """

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    wait_s: float = 0
    stream: bool = False


@dataclass(frozen=True)
class NextLine:
    """The next line of the stream that was asked for last; None at its end. Raises NoAnswer."""


@dataclass(frozen=True)
class Pause:
    """Waits so many seconds."""

    seconds: float


@dataclass(frozen=True)
class GetToken:
    """The step's result is what `source` returns, or what that leads to."""

    source: Callable[[], str | Awaitable[str]]


Step = Request | NextLine | Pause | GetToken
#: A conversation.
Steps = Generator[Step, Any, T]
#: Conversations one after another, each of which gives the next few.
Batches = Iterator[Steps[Sequence[T]]]


@dataclass(frozen=True)
class Answer:
    """An answer. `headers` has names in lower case; `body` is empty for a stream."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body. Raises UnexpectedAnswer."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise UnexpectedAnswer(f"{self.status}, and no JSON: {self.body[:200]!r}") from None

    @property
    def retry_after_s(self) -> float | None:
        """`Retry-After`, as seconds or as a date (RFC 9110, section 10.2.3)."""
        text = self.headers.get("retry-after", "")
        if text.isdigit():
            return float(text)
        try:
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            return None

    def problem(self) -> Problem:
        """What is wrong; of what stands in between and knows no problems, `http-<status>`."""
        try:
            told = json.loads(self.body)
        except ValueError:
            told = None
        if not isinstance(told, dict) or not isinstance(told.get("type"), str):
            told = {"type": f"http-{self.status}"}
        return problem(
            told["type"].rpartition("/")[2],
            str(told.get("detail", "")),
            told,
            status=self.status,
            retryable=told.get("retryable") is True,
            retry_after_s=self.retry_after_s,
            request_id=self.headers.get("x-request-id", ""),
        )
