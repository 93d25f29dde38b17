"""What can be asked of the service, as conversations."""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

from reservation_client.errors import NoAnswer, Problem
from reservation_client.feed import Feed
from reservation_client.models import (
    AuditEntry,
    AuditTrail,
    Change,
    Event,
    EventList,
    EventSummary,
    FreeSeats,
    Job,
    Layout,
    OwnSeats,
    QueueResponse,
    Refreshed,
    Seat,
    SeatMap,
    Ticket,
    read,
)
from reservation_client.steps import Answer, Batches, GetToken, Pause, Request, Steps, TokenSource

Model = TypeVar("Model")

#: Longest that the service keeps an answer back, seconds.
_LONGEST_WAIT_S = 30
#: The pause before a request is sent again: about the first, twice as long each time, to the last, seconds.
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
#: The same for looks at a job that come back at once, by half.
_LOOK_S, _LONGEST_LOOK_S = 0.05, 1.0
#: Answers after which the same request may be served: too many requests, or what stands in between found nobody.
_TOO_MANY, _UNAVAILABLE = 429, (502, 503, 504)


@dataclass(frozen=True)
class Policy:
    """How long things may take, seconds.

    Attributes:
        wait_s: until a job's end.
        patience_s: for one answer, with all its repetitions.
        on_repeat: told why, each time a request is sent again.
        clock: seconds, from any time on.
        chance: 0 to 1, another each time.
    """

    wait_s: float = 60
    patience_s: float = 30
    on_repeat: Callable[[NoAnswer | Problem], None] | None = None
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class Operations:
    """Conversations on behalf of one user.

    Arguments:
        user: who asks: a UUID. Empty where the token says so, or where that does not matter.
        token: the bearer token, or what gets one. It is asked again when a token is not accepted.
        policy: how long things may take.
    """

    def __init__(self, user: str = "", token: TokenSource | None = None, policy: Policy | None = None) -> None:
        self.user = user
        self.policy = policy or Policy()
        self._token = token
        self._bearer = token if isinstance(token, str) else ""

    # Events ----------------------------------------------------------------------------------------------------------

    def create_event(
        self,
        name: str,
        total_seats: int | None = None,
        *,
        layout: dict[str, Any] | None = None,
        opens_at: int | None = None,
        closes_at: int | None = None,
        admit_per_minute: int | None = None,
        admission_ttl: int | None = None,
    ) -> Steps[Event]:
        """Creates an event, of so many seats or of a layout.

        Arguments:
            total_seats: 10 to 10,000; None: those of the layout.
            layout: `{"sections": […]}`, as the guide has it.
            opens_at, closes_at: when sales begin and end, epoch ms.
            admit_per_minute: gives it a waiting room.
            admission_ttl: how long who is admitted may hold seats, seconds.
        """
        room = _given(admitPerMinute=admit_per_minute, admissionTtl=admission_ttl) or None
        times = _given(opensAt=opens_at, closesAt=closes_at)
        body = _given(name=name, totalSeats=total_seats, layout=layout, waitingRoom=room) | times
        return read(Event, (yield from self._post("/events/create", body)).json())

    def get_event(self, event_id: str) -> Steps[Event]:
        """An event."""
        return (yield from self._get(Event, f"/events/{_part(event_id)}"))

    def change_event(
        self, event_id: str, *, opens_at: int | None = None, closes_at: int | Literal["never"] | None = None
    ) -> Steps[Event]:
        """Changes when an event's sales begin and end. It takes a token with `events:write`.

        Arguments:
            opens_at, closes_at: epoch ms; a time that is past: now. None: as it is.
        """
        change: dict[str, object] = _given(opensAt=opens_at, closesAt=closes_at)
        if closes_at == "never":
            change["closesAt"] = None
        answer = yield from self.exchange(Request("PATCH", f"/events/{_part(event_id)}", change))
        return read(Event, answer.json())

    def list_events(self, *, page_size: int = 100) -> Batches[EventSummary]:
        """All events, the newest first."""

        def read_page(told: Any) -> tuple[Sequence[EventSummary], str | None]:
            page = read(EventList, told)
            return page.events, page.next_cursor

        return self._pages("/events", read_page, limit=page_size)

    def get_layout(self, event_id: str) -> Steps[Layout]:
        """Where an event's seats are."""
        return (yield from self._get(Layout, f"/events/{_part(event_id)}/layout"))

    def get_seat_map(self, event_id: str) -> Steps[SeatMap]:
        """What all seats of an event are, in one letter each."""
        return (yield from self._get(SeatMap, f"/events/{_part(event_id)}/seats"))

    def list_free_seats(
        self, event_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Steps[FreeSeats]:
        """The free seats of an event, by number: all, or so many after a `next_cursor`."""
        return (yield from self._get(FreeSeats, f"/seats/list/{_part(event_id)}", limit=limit, cursor=cursor))

    def list_own_seats(self, event_id: str) -> Steps[OwnSeats]:
        """The user's holds and reservations."""
        return (yield from self._get(OwnSeats, f"/events/{_part(event_id)}/holds"))

    def audit(
        self,
        event_id: str,
        *,
        since: int | None = None,
        seat: str | None = None,
        user: str | None = None,
        page_size: int = 1000,
    ) -> Batches[AuditEntry]:
        """Who did what to the seats, the oldest first. It takes a token with `events:write`.

        Arguments:
            since: what happened from then on, epoch ms.
            seat: what happened to one seat.
            user: what one user did.
        """

        def read_page(told: Any) -> tuple[Sequence[AuditEntry], str | None]:
            page = read(AuditTrail, told)
            return page.entries, page.next_cursor

        path = f"/events/{_part(event_id)}/audit"
        return self._pages(path, read_page, limit=page_size, since=since, seat=seat, user=user)

    def watch(self, event_id: str, *, since: int | None = None) -> Batches[SeatMap | Change]:
        """What happens to the seats, as it happens: first a `SeatMap`, then each `Change`, for ever.

        A connection that is lost is made again, and what was missed is told. Where that is not known any more, another
        `SeatMap` comes, and what was known before is void.

        Arguments:
            since: `sequence` of what is known already: it goes on from there, without a map.
        """
        feed = Feed(self.exchange, f"/events/{_part(event_id)}/stream", since)
        while True:
            yield feed.more()

    # Seats -----------------------------------------------------------------------------------------------------------

    def get_seat(self, seat_id: str) -> Steps[Seat]:
        """A seat, and whose it is if it is the user's."""
        return (yield from self._get(Seat, f"/seats/get/{_part(seat_id)}"))

    def hold(
        self,
        seats: str | Sequence[str],
        *,
        admission: str | None = None,
        priority: str | None = None,
        not_before: int | None = None,
        wait_s: float | None = None,
    ) -> Steps[Job]:
        """Holds a seat, or several of one event, all or none. Raises SeatUnavailable, LimitReached, AdmissionRequired.

        Arguments:
            seats: an id, or 2 to 50.
            admission: that of a ticket, where the event has a waiting room.
            priority: `vip`: before the `standard` jobs that wait. A token needs `seats:vip`.
            not_before: when it is to be carried out, epoch ms; None: at once.
            wait_s: how long to wait for the job's end; None: as the client does, 0: not at all.

        Returns:
            The job, as it was seen last: `result()` has the seats.
        """
        headers = {"Admission": admission} if admission else {}
        body = self._about(seats) | _given(priority=priority, notBefore=not_before)
        return (yield from self._job("/seats/hold", "HOLD_SEAT", body, wait_s, headers))

    def hold_best(
        self,
        event_id: str,
        quantity: int,
        *,
        adjacent: str | None = None,
        admission: str | None = None,
        priority: str | None = None,
        not_before: int | None = None,
        wait_s: float | None = None,
    ) -> Steps[Job]:
        """Holds so many of an event's best seats, as `hold`.

        Arguments:
            adjacent: `required`: next to one another or none; `preferred`: otherwise near one another.
        """
        headers = {"Admission": admission} if admission else {}
        when = _given(priority=priority, notBefore=not_before)
        body = when | _given(eventId=event_id, quantity=quantity, adjacent=adjacent, UUID=self.user or None)
        return (yield from self._job("/seats/best-available", "HOLD_SEAT", body, wait_s, headers))

    def refresh(self, seats: str | Sequence[str]) -> Steps[tuple[Seat, ...]]:
        """Has holds run their full length again. Raises HoldLost."""
        refreshed = read(Refreshed, (yield from self._post("/seats/refresh", self._about(seats))).json())
        return refreshed.seats or (refreshed,)

    def reserve(
        self,
        seats: str | Sequence[str],
        *,
        reference: str | None = None,
        priority: str | None = None,
        not_before: int | None = None,
        wait_s: float | None = None,
    ) -> Steps[Job]:
        """Reserves seats that the user holds, all or none; as `hold`. Raises HoldLost.

        Arguments:
            reference: what the caller calls the reservation: an order number, for example.
        """
        body = self._about(seats) | _given(reference=reference, priority=priority, notBefore=not_before)
        return (yield from self._job("/seats/reserve", "RESERVE_SEAT", body, wait_s, {}))

    def release(self, seats: str | Sequence[str]) -> Steps[None]:
        """Gives holds back. Raises HoldLost."""
        yield from self._post("/seats/release", self._about(seats))

    def cancel(self, seats: str | Sequence[str], *, user: str | None = None) -> Steps[None]:
        """Gives reservations back.

        Arguments:
            user: whose they are, if another's; the token needs `events:write` then.
        """
        yield from self._post("/seats/cancel", self._about(seats) | _given(UUID=user))

    def block(self, event_id: str, seats: Sequence[str], *, reason: str | None = None) -> Steps[None]:
        """Takes seats out of the sale, all or none. It takes a token with `events:write`. Raises SeatUnavailable.

        Arguments:
            reason: for the event's history.
        """
        yield from self._post(f"/events/{_part(event_id)}/block", _given(ids=list(seats), reason=reason))

    def unblock(self, event_id: str, seats: Sequence[str], *, reason: str | None = None) -> Steps[None]:
        """Puts seats back into it, as `block`."""
        yield from self._post(f"/events/{_part(event_id)}/unblock", _given(ids=list(seats), reason=reason))

    # Jobs ------------------------------------------------------------------------------------------------------------

    def get_job(self, job_id: str) -> Steps[Job]:
        """A job as it is now. Raises NotFound once its result is no longer kept."""
        return (yield from self._look(job_id, 0))

    def wait_for_job(self, job: Job | str, *, wait_s: float | None = None) -> Steps[Job]:
        """Waits for a job's end; returns it as it was seen last.

        Arguments:
            job: it, or its id.
            wait_s: how long; None: as the client does.
        """
        until = self.policy.clock() + (self.policy.wait_s if wait_s is None else wait_s)
        if isinstance(job, str):
            job = yield from self._look(job, 0)
        return (yield from self._follow(job, until))

    # The waiting room ------------------------------------------------------------------------------------------------

    def draw_ticket(self, event_id: str) -> Steps[Ticket]:
        """The user's ticket of the event's waiting room: a new one, or the one that there is."""
        body = _given(UUID=self.user or None)
        # It takes no key: asking twice gives the same ticket.
        answer = yield from self.exchange(Request("POST", f"/events/{_part(event_id)}/queue", body))
        return read(Ticket, answer.json())

    def get_ticket(self, event_id: str, ticket: str) -> Steps[Ticket]:
        """Where a ticket stands. Raises NotFound once it is over."""
        return (yield from self._get(Ticket, f"/events/{_part(event_id)}/queue/{_part(ticket)}"))

    def wait_for_admission(self, ticket: Ticket, *, wait_s: float | None = None) -> Steps[Ticket]:
        """Waits until a ticket is admitted; returns it as it was seen last, with its `admission`.

        It looks as often as the service says, for no earlier look would let anybody in sooner.

        Arguments:
            wait_s: how long; None: as long as it takes.
        """
        began = self.policy.clock()
        path = f"/events/{_part(ticket.event)}/queue/{_part(ticket.ticket)}"
        while ticket.admission is None:
            answer = yield from self.exchange(Request("GET", path))
            ticket = read(Ticket, answer.json())
            pause_s = answer.retry_after_s or _LONGEST_LOOK_S
            if ticket.admission is None:
                if wait_s is not None:
                    left_s = began + wait_s - self.policy.clock()
                    if left_s <= 0:
                        break
                    pause_s = min(pause_s, left_s)
                yield Pause(pause_s)
        return ticket

    # Anything else ---------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: object = None, *, keyed: bool = False) -> Steps[Any]:
        """Asks what there is no method for, webhooks for example; returns what was answered, None if that is nothing.

        Arguments:
            path: with its query.
            body: what to send as JSON.
            keyed: whether it takes an `Idempotency-Key`. One is made; without one, only GET, PUT and DELETE are
                repeated when it is not known whether they were done.
        """
        if keyed:
            answer = yield from self._post(path, body, method=method)
        else:
            answer = yield from self.exchange(
                Request(method, path, body, repeatable=method in ("GET", "HEAD", "PUT", "DELETE"))
            )
        return answer.json() if answer.body else None

    # How it is done --------------------------------------------------------------------------------------------------

    def exchange(self, request: Request) -> Steps[Answer]:
        """Sends a request until it is answered with something that will not change. Raises Problem, NoAnswer."""
        clock, began = self.policy.clock, self.policy.clock()
        pause_s, renewed = _PAUSE_S, False
        while True:
            if callable(self._token) and not self._bearer:
                self._bearer = yield GetToken(self._token)
            bearer = self._bearer
            failure: NoAnswer | Problem
            try:
                answer: Answer = yield replace(request, headers={**self._identity(request), **request.headers})
                if answer.status < 400:
                    return answer
                failure = answer.problem()
                after_s = failure.retry_after_s or 0
                if failure.type == "token-invalid" and callable(self._token) and not renewed:
                    renewed = True
                    if bearer == self._bearer:  # else somebody has got a new one meanwhile
                        self._bearer = ""
                    continue
                again = _may_help(failure, request)
            except NoAnswer as error:
                failure, after_s = error, 0
                again = error.transient and (error.unsent or request.repeatable)
            # A part at random: those who were refused together would come together again.
            wait_s = after_s + pause_s * (0.5 + self.policy.chance() / 2)
            if not again or clock() - began + wait_s > self.policy.patience_s:
                raise failure
            if self.policy.on_repeat:
                self.policy.on_repeat(failure)
            yield Pause(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _identity(self, request: Request) -> dict[str, str]:
        if not request.path.startswith("/"):  # somewhere else: it need not know
            return {}
        if self._bearer:
            return {"Authorization": f"Bearer {self._bearer}"}
        return {"X-User-UUID": self.user} if self.user else {}

    def _get(self, model: type[Model], path: str, **query: object) -> Steps[Model]:
        return read(model, (yield from self.exchange(Request("GET", path + _query(query)))).json())

    def _post(self, path: str, body: object, *, wait_s: int = 0, method: str = "POST", **headers: str) -> Steps[Answer]:
        """Asks for something to be done once, however often it has to be sent."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), **headers}
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        return (yield from self.exchange(Request(method, path, body, headers, wait_s=wait_s)))

    def _about(self, seats: str | Sequence[str]) -> dict[str, object]:
        """A body about seats. Without a user it is the token that says whose."""
        ids = [seats] if isinstance(seats, str) else list(seats)
        named: dict[str, object] = {"id": ids[0]} if len(ids) == 1 else {"ids": ids}
        return named | _given(UUID=self.user or None)

    def _job(
        self, path: str, kind: str, body: dict[str, object], wait_s: float | None, headers: dict[str, str]
    ) -> Steps[Job]:
        """Has a job accepted, and waits for its end."""
        wait_s = self.policy.wait_s if wait_s is None else wait_s
        until = self.policy.clock() + wait_s
        answer = yield from self._post(path, body, wait_s=min(int(wait_s), _LONGEST_WAIT_S), **headers)
        if answer.status == 200:
            job = read(Job, answer.json())
        else:
            queued = read(QueueResponse, answer.json())
            job = Job(
                id=queued.job_id,
                type=kind,
                status="waiting",
                position=queued.position,
                estimated_wait_time=queued.estimated_wait_time,
            )
        return (yield from self._follow(job, until))

    def _follow(self, job: Job, until: float) -> Steps[Job]:
        """Looks at a job until it has ended, or that time has come."""
        clock, pause_s = self.policy.clock, _LOOK_S
        while not job.ended and (left_s := until - clock()) > 0:
            wait_s, asked = min(int(left_s), _LONGEST_WAIT_S), clock()
            job = yield from self._look(job.id, wait_s)
            if not job.ended and (clock() - asked < wait_s or not wait_s):
                # Too many wait for it to be kept back.
                yield Pause(max(0, min(pause_s, until - clock())))
                pause_s = min(1.5 * pause_s, _LONGEST_LOOK_S)
        return job

    def _look(self, job_id: str, wait_s: int) -> Steps[Job]:
        path = f"/seats/job/{_part(job_id)}/status{_query({'wait': wait_s or None})}"
        return read(Job, (yield from self.exchange(Request("GET", path, wait_s=wait_s))).json())

    def _pages(
        self, path: str, read_page: Callable[[Any], tuple[Sequence[Model], str | None]], **query: object
    ) -> Batches[Model]:
        """Everything that a list has, page by page."""
        cursor: str | None = None

        def turn() -> Steps[Sequence[Model]]:
            nonlocal cursor
            answer = yield from self.exchange(Request("GET", path + _query({**query, "cursor": cursor})))
            found, cursor = read_page(answer.json())
            return found

        yield turn()
        while cursor is not None:
            yield turn()


def _may_help(failure: Problem, request: Request) -> bool:
    """Whether to send a request that was refused again: it was not done, or doing it twice does no harm."""
    if failure.status == _TOO_MANY:
        return True
    return request.repeatable and (failure.status in _UNAVAILABLE or failure.type == "idempotency-key-in-use")


def _given(**members: object) -> dict[str, object]:
    """Those that are there."""
    return {name: value for name, value in members.items() if value is not None}


def _query(values: dict[str, object]) -> str:
    text = urlencode(_given(**values))
    return f"?{text}" if text else ""


def _part(text: str) -> str:
    """A part of a path, whatever is in it."""
    return quote(text, safe="")
