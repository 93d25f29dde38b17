"""Seats: the calls behind hold, refresh, release, reserve, cancel and block. Each is one atomic script."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from reservation import keys
from reservation.audit import actor_of
from reservation.clients import Command
from reservation.codes import Code
from reservation.errors import ReservationError, StateUnavailable, refusal
from reservation.fields import Adjacent
from reservation.guard import ServerClock
from reservation.idempotency import NO_KEY, Once
from reservation.ids import MAX_GROUP, JobId, SeatId, joined
from reservation.models import OwnSeats, Seat
from reservation.rooms import Rooms
from reservation.scripts import Scripts
from reservation.settings import Settings

#: Seats freed by one script call. 9,900 in one call blocked the server for 110 to 175 ms.
RELEASE_BATCH = 50

#: How long a client's call may be on its way to Redis and still take effect, ms. Longer than it waits for
#: a reply; so short that nobody is surprised by it later.
_CALL_MS = 1_500

#: How long the answer to a client's call is remembered, in case its reply is lost and it is sent again, ms.
_REMEMBER_MS = 10_000

#: What is added to the code of an answer that was given before.
_AGAIN = 1_000

#: How long a release_expired message counts as on its way, ms.
RELEASE_CLAIM_MS = 5_000

#: One seat, or several of one event: all of them are meant or none, and each is named once.
Named = SeatId | Sequence[SeatId]

#: How long an event counts as touched, seconds: with the longest time that an accept can take, well
#: below the minute after which an idle event is forgotten. And of how many events that is remembered.
_TOUCH_S, _MOST_TOUCHED = 15.0, 10_000


@dataclass(frozen=True)
class Policy:
    """The rules of selling. Times in milliseconds, counts in seats or jobs."""

    max_held: int
    hold_ms: int
    max_hold_ms: int
    hold_deadline_ms: int
    reserve_deadline_ms: int
    result_ttl_ms: int
    max_open_jobs: int
    max_delay_ms: int
    retention_ms: int
    audit_key: bytes

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """The rules as they are set."""
        return cls(
            max_held=settings.max_held_seats,
            hold_ms=settings.hold_ms,
            max_hold_ms=settings.max_hold_ms,
            hold_deadline_ms=round(settings.hold_job_deadline * 1000),
            reserve_deadline_ms=round(settings.reserve_job_deadline * 1000),
            result_ttl_ms=settings.result_ttl_ms,
            max_open_jobs=settings.max_open_jobs,
            max_delay_ms=round(settings.max_job_delay * 1000),
            retention_ms=round(settings.changes_retention * 1000),
            audit_key=settings.audit_key.get_secret_value().encode(),
        )


class Turn(NamedTuple):
    """When a job is to be carried out.

    Attributes:
        vip: before those of others that wait.
        not_before: at the earliest, epoch ms; 0: at once.
    """

    vip: bool = False
    not_before: int = 0


#: As soon as those before it are.
NEXT = Turn()


class Accepted(NamedTuple):
    """A job in the ledger.

    Attributes:
        job_id: the job; for a repeated reserve, the one that was there.
        rank: open jobs of the event before it.
        pace_us: microseconds the event takes per job, 0 if not known yet.
        lag_ms: how long jobs waited for a worker then.
        delay_ms: how long until it may be carried out; 0: a message is to be sent for it.
    """

    job_id: str
    rank: int
    pace_us: int
    lag_ms: int
    delay_ms: int = 0


class Verdict(NamedTuple):
    """What a job's script answered.

    Attributes:
        code: how the job ended, now or earlier; JOB_UNKNOWN if there is no such job.
        now: the server's clock, epoch ms.
        waited_ms: from acceptance until now; None if the job had ended before, has not ended, or is not there.
        adjacent: with PICK_AGAIN, what the seats have to be.
    """

    code: Code
    now: int
    waited_ms: int | None
    adjacent: Adjacent = "preferred"


class Lack(NamedTuple):
    """Why the best seats are not to be had.

    Attributes:
        code: NO_SEATS_TOGETHER or TOO_FEW_SEATS.
        largest_block: most free seats next to one another.
        free: free seats.
    """

    code: Code
    largest_block: int
    free: int


class Seats:
    """Everything that is done to seats.

    Arguments:
        scripts: on the state database.
        policy: the rules of selling.
        clock: the server's, by which a client's call becomes too old.
        rooms: check who was admitted.
    """

    def __init__(self, scripts: Scripts, policy: Policy, clock: ServerClock, rooms: Rooms) -> None:
        self._scripts = scripts
        self._rooms = rooms
        self._policy = policy
        self._clock = clock
        self._touched: dict[str, float] = {}

    @property
    def shortest_deadline_ms(self) -> int:
        """How old a job is at least when its deadline passes, ms. Only a reserve that must be done before
        its hold's end may have less time."""
        return min(self._policy.hold_deadline_ms, self._policy.reserve_deadline_ms)

    def get(self, seat_id: SeatId) -> Seat:
        """Reads a seat; a hold whose time is up reads as free. Raises NotFound, StateUnavailable."""
        code, now, *seat = self._scripts.run("read_seat", [keys.event(seat_id.event), keys.seat(seat_id)])
        if code != Code.OK:
            raise refusal(Code(code))
        status, user, *more = seat
        if status in ("Available", "Blocked"):
            return Seat(id=str(seat_id), event_id=seat_id.event, status=status)
        return (
            _reserved(str(seat_id), user, *more) if status == "Reserved" else _on_hold(str(seat_id), user, now, *more)
        )

    def of_user(self, event_id: str, user: str) -> OwnSeats:
        """What a user has of an event, all of it at one moment. Raises NotFound, StateUnavailable."""
        names = [keys.event(event_id), keys.holder(event_id, user), keys.buyer(event_id, user)]
        own: list[str] = []
        while True:
            seats = [keys.seat(SeatId.parse(text)) for text in own]
            code, now, *reply = self._scripts.run("own_seats", [*names, *seats], [user, *own])
            if code != Code.OK:
                raise refusal(Code(code))
            reserved, holds = reply
            if all(more for _, *more in (*reserved, *holds)):
                break
            own = [text for text, *_ in (*reserved, *holds)]  # one has come since; only the user's own jobs make one
        return OwnSeats(
            event=event_id,
            server_time=now,
            limit=self._policy.max_held,
            hold_duration=self._policy.hold_ms,
            holds=[_on_hold(text, user, now, *times) for text, *times in holds],
            reservations=[_reserved(text, user, *names) for text, *names in reserved],
        )

    def is_later(self, turn: Turn) -> bool:
        """Whether it is for a time that lies ahead, as far as is known here: scripts decide."""
        return turn.not_before > (self._clock.in_ms(0) or time.time() * 1000)

    def accept_hold(
        self,
        seats: Named,
        user: str,
        job_id: JobId,
        request_id: str = "",
        *,
        lag_ms: int = 0,
        once: Once | None = None,
        retry_of: JobId | None = None,
        admission: str = "",
        adjacent: Adjacent | None = None,
        gone: bool = False,
        turn: Turn = NEXT,
    ) -> Accepted:
        """Enters a hold job in the ledger. Raises NotFound, SeatHeld, SeatReserved, LimitReached, PickAgain,
        QueueFull, DelayTooLong, SalesNotOpen, EventClosed, AdmissionRequired, KeyReused, or StateUnavailable with the
        job id, because it may have been entered.

        Arguments:
            lag_ms: how long jobs wait for a worker, for who asks again.
            once: the request, if it may be sent again; it is answered with the first one's job then.
            retry_of: the failed job that this one repeats.
            admission: of the event's waiting room; empty: none.
            adjacent: for so many of the best seats, of which these are the first choice.
            gone: they need not be free, nor left alone by other such jobs: it gets others then.
            turn: when it is to be carried out. Whether it can be is only then looked at, if that is later.
        """
        policy = self._policy
        own: list[str | int] = [lag_ms, policy.hold_deadline_ms, policy.max_held, policy.max_open_jobs, _text(retry_of)]
        own += [self._rooms.admitted_until(job_id.event, user, admission), *self._of_turn(turn)]
        if adjacent is not None:
            own += [adjacent, int(gone)]
        elif not turn.not_before:
            return self._accept("accept_hold", seats, user, job_id, request_id, once, own)
        more_keys = keys.later(job_id.event, user), keys.picked(job_id.event)
        return self._accept("accept_hold", seats, user, job_id, request_id, once, own, *more_keys)

    def accept_reserve(
        self,
        seats: Named,
        user: str,
        job_id: JobId,
        request_id: str = "",
        *,
        lag_ms: int = 0,
        once: Once | None = None,
        retry_of: JobId | None = None,
        reference: str = "",
        turn: Turn = NEXT,
    ) -> Accepted:
        """Enters a reserve job in the ledger and pins the holds until it ends. Raises NotFound, NotHolder, NotOnHold,
        SeatReserved, QueueFull, DelayTooLong, KeyReused, or StateUnavailable as `accept_hold` does; ReservePending if
        some of the seats are in another job.

        Arguments:
            reference: what the client calls the reservation.
        """
        policy = self._policy
        own: list[str | int] = [lag_ms, policy.reserve_deadline_ms, policy.max_open_jobs, _text(retry_of), reference]
        own += self._of_turn(turn)
        return self._accept("accept_reserve", seats, user, job_id, request_id, once, own)

    def _of_turn(self, turn: Turn) -> list[str | int]:
        return ["vip" if turn.vip else "", turn.not_before, self._policy.max_delay_ms]

    def _accept(
        self,
        script: str,
        named: Named,
        user: str,
        job_id: JobId,
        request_id: str,
        once: Once | None,
        own: Sequence[str | int],
        *more_keys: str,
    ) -> Accepted:
        seats = _each(named)
        self._touch(job_id.event)
        if once is None:
            record: list[str | int] = ["", 0]
            record_key = [*more_keys[:1]]  # those that follow have their places
        else:
            record_key, record = [once.record], [once.fingerprint, once.ttl_ms]
        names = [keys.job(job_id), keys.jobs(job_id.event), *record_key, *more_keys]
        try:
            not_after = self._clock.in_ms(_CALL_MS)
            reply = self._run(script, names, seats, user, user, request_id, job_id, [*record, *own], not_after)
        except StateUnavailable as error:
            if error.__cause__ is None:
                raise  # nothing was sent
            raise StateUnavailable(str(job_id)) from error.__cause__
        return self._accepted(reply, once, job_id.event, several=len(seats) > 1)

    def _accepted(self, reply: list[Any], once: Once | None, event_id: str, *, several: bool) -> Accepted:
        code, now, *rest = _first_time(reply, once)
        if code != Code.ACCEPTED:
            limit = self._policy.max_held if code == Code.LIMIT_REACHED else self._policy.max_open_jobs
            raise refusal(Code(code), *rest, limit=limit, event_id=event_id, several=several)
        rank, pace_us, accepted_id, lag_ms, *later = rest
        return Accepted(accepted_id, rank, pace_us, lag_ms, *(time - now for time in later))

    def _touch(self, event_id: str) -> None:
        """Puts the event among the active ones before a job is written, so that the sweeper finds it.

        Not each time: an active event is forgotten a minute after its last touch at the earliest. And
        not if it does not exist, which is refused here: otherwise made-up ids would fill the index.
        """
        now = time.monotonic()
        if self._touched.get(event_id, 0.0) > now:
            return
        if not self._scripts.execute("EXISTS", keys.event(event_id)):
            raise refusal(Code.EVENT_UNKNOWN)
        try:
            self._scripts.run("touch_event", [keys.ACTIVE], [event_id])
        except StateUnavailable:
            # In a cluster it may be on a node that is gone. The seats need not be: the sweeper's walk finds the job.
            if not self._scripts.servers.many:
                raise
            return
        if len(self._touched) >= _MOST_TOUCHED:
            self._touched.clear()
        self._touched[event_id] = now + _TOUCH_S

    def hold(self, seats: Named, user: str, job_id: JobId, request_id: str = "") -> Verdict:
        """Holds the seats for a job and writes the verdict; or says PICK_AGAIN of a job for the best seats if these are
        gone, which can then be held others. Raises StateUnavailable."""
        policy = self._policy
        own = [policy.result_ttl_ms, policy.hold_ms, policy.max_held]
        return _verdict(self._run_job("hold", seats, user, request_id, job_id, own, keys.picked(job_id.event)))

    def reserve(self, seats: Named, user: str, job_id: JobId, request_id: str = "") -> Verdict:
        """Reserves the seats for a job and writes the verdict. Raises StateUnavailable."""
        own, buyer = [self._policy.result_ttl_ms], keys.buyer(job_id.event, user)
        return _verdict(self._run_job("reserve", seats, user, request_id, job_id, own, buyer))

    def decline(self, seats: Named, user: str, job_id: JobId, lack: Lack) -> Verdict:
        """Ends a job for the best seats, which are not to be had. Raises StateUnavailable."""
        own = [self._policy.result_ttl_ms, int(lack.code), lack.largest_block, lack.free]
        return _verdict(self._run_job("decline", seats, user, "", job_id, own, keys.picked(job_id.event)))

    def refuse(self, event_id: str, lack: Lack, once: Once | None) -> Accepted:
        """Refuses a request for the best seats. Returns the job if it had been accepted before. Raises NotSeated and
        what `accept_hold` does."""
        reply: list[Any] = [lack.code, 0, lack.largest_block, lack.free]
        if once is not None:
            own = [int(lack.code), lack.largest_block, lack.free]
            reply = self._scripts.run("refuse", [once.record], [once.fingerprint, once.ttl_ms, *own])
        return self._accepted(reply, once, event_id, several=True)

    def fail(self, seats: Named, user: str, job_id: JobId, code: Code) -> Verdict:
        """Ends a job without a verdict and takes its pins back. Raises StateUnavailable.

        Arguments:
            code: DEADLINE_PASSED, which the server's clock has to confirm, or INTERNAL_ERROR.
        """
        own = [self._policy.result_ttl_ms, int(code)]
        return _verdict(self._run_job("fail_job", seats, user, "", job_id, own))

    def refresh(self, named: Named, user: str, request_id: str = "", once: Once | None = None) -> list[Seat]:
        """Lets the user's holds run their full length again, as far as a hold may be prolonged. Returns the seats in
        the order given. Raises NotFound, NotHolder, NotOnHold, SeatReserved, ReservePending, HoldCeiling, EventClosed,
        KeyReused, StateUnavailable.

        Arguments:
            once: the request, if it may be sent again.
        """
        seats, policy = _each(named), self._policy
        own = [policy.hold_ms, policy.max_hold_ms]
        code, now, *reply = self._call("refresh", seats, user, user, request_id, once, own)
        if code != Code.REFRESHED:
            raise _refused(code, reply, seats)
        return [_on_hold(str(seat), user, now, expires) for seat, expires in zip(seats, reply, strict=True)]

    def release(self, named: Named, user: str, request_id: str = "", once: Once | None = None) -> None:
        """Gives the user's holds back; of a free seat, does nothing. Raises NotFound, NotHolder,
        SeatReserved, ReservePending, KeyReused, StateUnavailable. `once` is as in `refresh`."""
        seats = _each(named)
        code, _, *reply = self._call("release", seats, user, user, request_id, once, [])
        if code != Code.RELEASED:
            raise _refused(code, reply, seats)

    def cancel(self, named: Named, owner: str | None, by: str, request_id: str = "", once: Once | None = None) -> None:
        """Gives reservations back: the seats are free. Raises NotFound, NotReserved, NotOwner, KeyReused,
        StateUnavailable. `once` is as in `refresh`.

        Arguments:
            owner: the user who reserved all of them; None: whoever that is.
            by: who cancels.
        """
        seats = _each(named)
        while True:
            # Named first, so that the script is told all of its keys; it sees whether that is still so.
            user = self.get(seats[0]).user if owner is None else owner
            own, buyer = [int(owner is None)], keys.buyer(seats[0].event, user)
            code, _, *reply = self._call("cancel", seats, user, by, request_id, once, own, buyer)
            if code == Code.CANCELLED:
                return
            if code != Code.OWNER_CHANGED:
                raise _refused(code, reply, seats)

    def block(
        self, seats: Sequence[SeatId], by: str, reason: str = "", request_id: str = "", once: Once | None = None
    ) -> None:
        """Takes seats out of the sale, all of them or none; those that are already stay so. Raises NotFound, SeatHeld,
        SeatReserved, KeyReused, StateUnavailable. `once` is as in `refresh`.

        Arguments:
            by: who does; empty if nobody knows.
            reason: for the event's history.
        """
        self._set_blocked("block", Code.BLOCKED, seats, by, reason, request_id, once)

    def unblock(
        self, seats: Sequence[SeatId], by: str, reason: str = "", request_id: str = "", once: Once | None = None
    ) -> None:
        """Lets blocked seats be sold again; the others stay as they are. Raises NotFound, KeyReused, StateUnavailable.
        Arguments are as in `block`."""
        self._set_blocked("unblock", Code.UNBLOCKED, seats, by, reason, request_id, once)

    def _set_blocked(
        self,
        script: str,
        done: Code,
        seats: Sequence[SeatId],
        by: str,
        reason: str,
        request_id: str,
        once: Once | None,
    ) -> None:
        blocked = keys.blocked(seats[0].event)
        code, _, *reply = self._call(script, seats, "", by, request_id, once, [reason], blocked)
        if code != done:
            raise refusal(Code(code), *reply, event_id=seats[0].event, several=True)

    def claim_releases(self, event_ids: Sequence[str]) -> list[str]:
        """Takes the right to have events' due seats freed, which one has at a time, in one go. The claim lapses in
        case whoever has it is lost. Returns the events for which it was free. Raises StateUnavailable."""
        claims: list[Command] = [
            ("SET", keys.releasing(event_id), 1, "NX", "PX", RELEASE_CLAIM_MS) for event_id in event_ids
        ]
        taken = self._scripts.execute_each(claims)
        return [event_id for event_id, claimed in zip(event_ids, taken, strict=True) if claimed]

    def release_claimed(self, event_id: str) -> int:
        """Frees the event's due seats, gives the claim back, and says how many it freed. What ends meanwhile may be
        left to whoever takes the claim next. Raises StateUnavailable."""
        freed = self.release_due(event_id)
        self._scripts.execute("DEL", keys.releasing(event_id))
        return freed

    def release_due(self, event_id: str) -> int:
        """Frees the event's seats whose hold is over, 50 at a time, and says how many it freed.

        Picks the seats first and writes with their keys declared; a seat that changed in between is
        left as it is. Raises StateUnavailable.
        """
        freed = 0
        while due := self._due(event_id):
            seats = [SeatId.parse(text) for text in due]
            now_freed, dropped = self._scripts.run(
                "release_due",
                [*keys.event_keys(event_id), *(key for seat in seats for key in (keys.seat(seat), keys.lock(seat)))],
                [self._policy.retention_ms, "", "", *due],
            )
            freed += now_freed
            if len(due) < RELEASE_BATCH or not now_freed + dropped:
                break
        return freed

    def _due(self, event_id: str) -> list[str]:
        return list(self._scripts.run("due_seats", [keys.holds(event_id)], [RELEASE_BATCH]))

    def _call(
        self,
        script: str,
        seats: Sequence[SeatId],
        user: str,
        by: str,
        request_id: str,
        once: Once | None,
        own: Sequence[str | int],
        *more_keys: str,
    ) -> list[Any]:
        """Runs what somebody asks for directly. It has a record of its own, so that a reply which was lost, and
        makes redis-py send it again, does not make it happen twice."""
        record = once.record if once else keys.call(seats[0].event, secrets.token_hex(8))
        remember: list[str | int] = [once.fingerprint, once.ttl_ms] if once else [NO_KEY, _REMEMBER_MS]
        not_after = self._clock.in_ms(_CALL_MS)
        names = [record, *more_keys]
        reply = self._run(script, names, seats, user, by, request_id, None, [*remember, *own], not_after)
        return _first_time(reply, once)

    def _run_job(
        self, script: str, named: Named, user: str, request_id: str, job_id: JobId, own: list[int], *more_keys: str
    ) -> Any:
        names = [keys.job(job_id), keys.jobs(job_id.event), *more_keys, keys.failures(job_id.event)]
        return self._run(script, names, _each(named), user, user, request_id, job_id, own, 0)

    def _run(
        self,
        script: str,
        names: list[str],
        seats: Sequence[SeatId],
        user: str,
        by: str,
        request_id: str,
        job_id: JobId | None,
        own: Sequence[str | int],
        not_after: int,
    ) -> Any:
        event_id = seats[0].event
        shared: list[str | int] = [
            self._policy.retention_ms,
            request_id,
            _text(job_id),
            joined(seats),
            user,
            self._actor(event_id, by),
            not_after,
        ]
        all_names = [*keys.user_keys(event_id, user), *names, *keys.seat_keys(seats)]
        return self._scripts.run(script, all_names, [*shared, *own], alone=len(seats) > MAX_GROUP)

    def _actor(self, event_id: str, user: str) -> str:
        return actor_of(self._policy.audit_key, event_id, user) if user else ""


def _each(named: Named) -> Sequence[SeatId]:
    return (named,) if isinstance(named, SeatId) else named


def _refused(code: int, rest: list[Any], seats: Sequence[SeatId]) -> ReservationError:
    return refusal(Code(code), *rest, event_id=seats[0].event, several=len(seats) > 1)


def _on_hold(seat_id: str, user: str, now: int, expires_at: int, reserving_until: int = 0) -> Seat:
    return Seat(
        id=seat_id,
        event_id=seat_id.partition("-")[0],
        user=user,
        status="On hold",
        expires_at=expires_at,
        reserving_until=reserving_until or None,
        server_time=now,
    )


def _reserved(seat_id: str, user: str, reservation: str, reference: str) -> Seat:
    return Seat(
        id=seat_id,
        event_id=seat_id.partition("-")[0],
        user=user,
        status="Reserved",
        reservation_id=reservation or None,  # those made by a version that gave none
        reference=reference or None,
    )


def _text(job_id: JobId | None) -> str:
    return "" if job_id is None else str(job_id)


def _first_time(reply: list[Any], once: Once | None) -> list[Any]:
    """What a script answered the first time, noting whether that was now."""
    code, *rest = reply
    if code < _AGAIN:
        return reply
    if once is not None:
        once.replayed = True
    return [code - _AGAIN, *rest]


def _verdict(reply: list[Any]) -> Verdict:
    code, now, *created = reply
    if code == Code.PICK_AGAIN:
        return Verdict(Code(code), now, None, created[0])
    return Verdict(Code(code), now, now - created[0] if created else None)
