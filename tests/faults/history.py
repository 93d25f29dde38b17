"""What clients saw: every call on a seat with when it was sent and when it was answered.

Times are epoch milliseconds of this machine's clock, rounded down, which is the clock that a Redis
server on the same machine reads (`TIME`): `call_ms <= server's now <= return_ms`.
"""

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["hold", "pin", "reserve", "refresh", "release", "cancel", "block", "unblock", "read", "list"]


@dataclass
class Op:
    """One operation on one seat, as its client knows it.

    `hold` and `reserve` are jobs: from the moment the POST was sent until the verdict was read. The
    acceptance of a reserve changes the seat too (it pins the hold) and is an operation of its own,
    `pin`, over the POST alone; the two share `job`.

    A call or a job about several seats is an operation on each of them. It is done to all or to none: where some
    are in the way, these have the refusal that they would have alone, and the others are `spared`.

    Attributes:
        kind: `list` is a read of whether the seat is among the free ones.
        seat: the seat's id.
        user: the UUID that was presented.
        call_ms: just before the request was sent.
        return_ms: just after the answer (a job: its verdict) was read. None: there was none; then
            the operation took effect at any time from `call_ms` on (until `until_ms`), or never.
        outcome: what was answered; None if unknown.
            hold: `held`, `held-already` (both with expires_at), `held-or-had` (one of the two: of several, the end
                that is told is that of a hold of now), `seat-held`, `seat-reserved`, `seat-blocked`,
                `limit-reached`, `failed` (by its deadline: it must have had no effect), `spared`.
            pin: `pinned` (with reserving_until), `pinned-already` (the job that was open already),
                `accepted` (of a seat that the user has reserved), `let-in` (one of these three: a 202 does not
                tell), `not-holder`, `not-on-hold`, `seat-reserved`, `seat-blocked`, `reserve-pending` (of several,
                this one is in another job), `spared`.
            reserve: `reserved`, `reserved-already`, `reserved-or-had` (one of the two, of several),
                `seat-reserved`, `hold-expired`, `failed`, `spared` (which takes its pin back).
            refresh: `refreshed` (with expires_at), `not-holder`, `not-on-hold`, `seat-reserved`,
                `seat-blocked`, `reserve-pending`, `hold-ceiling`, `in-the-way` (of several, not the first: others
                hold it, or it is pinned), `spared`.
            release: `released`, `not-holder`, `seat-reserved`, `reserve-pending`, `in-the-way`, `spared`.
            cancel: `cancelled`, `not-owner`, `not-reserved`, `spared`.
            block: `blocked-or-was`, `seat-held`, `seat-reserved`, `spared`.
            unblock: `unblocked-or-was-not`.
            read: `Available`, `On hold`, `Reserved`, `Blocked`; `mine` says whether the user's UUID was shown.
            list: `free`, `taken`.
        until_ms: with no answer: it cannot take effect at this time or later (a job's deadline).
        expires_at: when the hold ends, as answered.
        reserving_until: until when the hold is pinned (the reserve job's deadline), as answered.
        mine: of a read: whether the seat was shown as the caller's.
        job: the job's id, where there is one.
        at_ms: when it was done by the server's clock, if the answer says so: a job's `completedAt`, the
            `serverTime` of a read or a refresh. Not needed; with it the check is exact.
        seats: how many seats it was about.
    """

    kind: Kind
    seat: str
    user: str
    call_ms: int
    return_ms: int | None = None
    outcome: str | None = None
    until_ms: int | None = None
    expires_at: int | None = None
    reserving_until: int | None = None
    mine: bool = False
    job: str = ""
    at_ms: int | None = None
    seats: int = 1


def now_ms() -> int:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


class History:
    """Operations of many clients. Safe to use from several threads."""

    def __init__(self, ops: Iterable[Op] = ()) -> None:
        self._ops = list(ops)
        self._lock = threading.Lock()

    def add(self, op: Op) -> Op:
        """Notes an operation; its answer may be filled in later."""
        with self._lock:
            self._ops.append(op)
        return op

    def discard(self, op: Op) -> None:
        """Takes back an operation that was none."""
        with self._lock:
            self._ops[:] = (each for each in self._ops if each is not op)

    def by_seat(self) -> dict[str, list[Op]]:
        """The operations on each seat, by when they were called."""
        with self._lock:
            ops = sorted(self._ops, key=lambda op: op.call_ms)
        seats: dict[str, list[Op]] = {}
        for op in ops:
            seats.setdefault(op.seat, []).append(op)
        return seats

    def __len__(self) -> int:
        return len(self._ops)

    def save(self, path: Path) -> None:
        """Writes one JSON object a line, so that a history that was rejected can be looked at."""
        with self._lock:
            path.write_text("".join(json.dumps(asdict(op)) + "\n" for op in self._ops), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "History":
        """Reads what `save` wrote."""
        return cls(Op(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())
