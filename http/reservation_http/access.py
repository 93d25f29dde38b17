"""Who asks, and whether they may: tokens, rate limits, requests that are sent again. Every resource asks here first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import falcon
from pydantic import BaseModel

from reservation.errors import InvalidId, ReservationError
from reservation.fields import INSIDER
from reservation.guard import Guard
from reservation.idempotency import Once
from reservation.ids import SeatId, joined, parse_uuid
from reservation.requests import Group, NewEvent, Queued, QueueEntry, Reserving, SeatAction
from reservation.seats import NEXT, Turn
from reservation.settings import Settings
from reservation_http.addresses import Addresses
from reservation_http.errors import InvalidRequest, ScopeMissing, TokenMissing, UserMismatch
from reservation_http.exchange import read_body
from reservation_http.middleware import hide_user
from reservation_http.rates import RateLimits
from reservation_http.repeats import read_key
from reservation_http.tokens import Tokens

#: What a token has to allow for an event to be created, for all users to be seen, and for figures of the service.
CREATE_EVENTS, SEE_USERS, READ_OPERATIONS = "events:write", "seats:read", "ops:read"
#: The same for jobs to be VIP ones.
BE_VIP = "seats:vip"

Read = TypeVar("Read")
Body = TypeVar("Body", bound=BaseModel)


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        address: where from.
        user: a UUID; empty if nobody knows.
        scopes: what the caller's token allows.
    """

    address: str
    user: str = ""
    scopes: frozenset[str] = frozenset()

    @property
    def viewer(self) -> str | None:
        """Whose UUID may be shown: the caller's own, or INSIDER for all."""
        return INSIDER if SEE_USERS in self.scopes else self.user or None


class Action(NamedTuple):
    """What somebody wants done to seats.

    Attributes:
        user: whose they are, or are to be; empty if it is to be done whoever that is.
        by: who wants it.
        reference: what the client calls the reservation that this is to become.
        turn: when it is to be done.
        once: the request, if it may be sent again.
    """

    seats: tuple[SeatId, ...]
    user: str
    by: str
    reference: str
    turn: Turn
    once: Once | None


class Order(NamedTuple, Generic[Body]):
    """What somebody who may see to events wants done.

    Attributes:
        by: who wants it; empty if nobody knows.
        once: the request, if it may be sent again.
    """

    body: Body
    by: str
    once: Once | None


class Wish(NamedTuple):
    """So many of the best seats that a user wants, and when; `once` if the request may be sent again."""

    group: Group
    user: str
    turn: Turn
    once: Once | None


@dataclass(frozen=True)
class Access:
    """The way in.

    Arguments:
        tokens: None where a user is whoever knows the user's UUID.
        limits: how often anybody may ask.
        addresses: tells where a request comes from.
        remember_ms: how long a request is remembered that may be sent again.
    """

    tokens: Tokens | None
    limits: RateLimits
    addresses: Addresses
    remember_ms: int

    @classmethod
    def of(cls, settings: Settings, guard: Guard) -> "Access":
        """As it is set. Raises SettingsError.

        Arguments:
            guard: of the server where requests are counted.
        """
        limits, addresses = RateLimits(settings, guard), Addresses(settings.networks)
        return cls(Tokens.of(settings), limits, addresses, round(settings.idempotency_ttl * 1000))

    def visit(self, req: falcon.Request) -> None:
        """Lets somebody see a page. Raises RateLimited."""
        self.limits.hit("user", self._address(req), "")

    def reader(self, req: falcon.Request, rate: str = "user") -> Caller:
        """Who wants to read. Raises TokenInvalid, InvalidRequest, RateLimited."""
        return self._admit(req, rate, lambda caller: (caller, None))[0]

    def owner(self, req: falcon.Request) -> str:
        """The user who wants to read what is theirs. Raises TokenMissing, TokenInvalid, InvalidRequest, RateLimited."""

        def read(caller: Caller) -> tuple[Caller, None]:
            self._require_token(caller)
            if not caller.user:
                raise InvalidRequest([{"field": "X-User-UUID", "message": "Field required"}])
            return caller, None

        return self._admit(req, "user", read)[0].user

    def operator(self, req: falcon.Request, scope: str = READ_OPERATIONS) -> None:
        """Lets somebody see how the service is doing, or what else takes a scope. Raises TokenMissing, ScopeMissing,
        and as `reader` does."""

        def read(caller: Caller) -> tuple[Caller, None]:
            self._require_token(caller)
            self._require_scope(caller, scope)
            return caller, None

        self._admit(req, "user", read)

    def organizing(
        self, req: falcon.Request, model: type[Body], event_id: str = "", *, rate: str = "user"
    ) -> Order[Body]:
        """What somebody who may see to events wants done. Raises as `creation` does.

        Arguments:
            model: of the body.
            event_id: the event that it is about, as the path has it, where the request may be sent again. Whoever uses
                that has to have checked the id.
            rate: which limit it counts for.
        """

        def read(caller: Caller) -> tuple[Caller, tuple[Body, str]]:
            self._require_token(caller)
            self._require_scope(caller, CREATE_EVENTS)
            return caller, (read_body(req, model), read_key(req) if event_id else "")

        caller, (asked, key) = self._admit(req, rate, read)
        content = f"{event_id} {asked.model_dump_json()}"
        return Order(asked, caller.user, self._once(req, caller.user or caller.address, key, content, event_id))

    def action(self, req: falcon.Request, model: type[SeatAction] = SeatAction, *, for_others: str = "") -> Action:
        """What somebody wants done to seats. Raises TokenMissing, TokenInvalid, UserMismatch, RateLimited, and what
        `read_body` does.

        Arguments:
            model: what the body is.
            for_others: what a token has to allow for it to be done to other users' seats.
        """

        def read(caller: Caller) -> tuple[Caller, tuple[SeatAction, str]]:
            self._require_token(caller)
            action = read_body(req, model)
            if isinstance(action, Queued):
                self._require_turn(caller, action)
            for_whom = "" if for_others in caller.scopes else action.user
            return self._acting(caller, for_whom), (action, read_key(req))

        caller, (action, key) = self._admit(req, "user", read)
        user = action.user or ("" if for_others in caller.scopes else caller.user)
        reference = action.reference if isinstance(action, Reserving) else ""
        about = f" of {user}" if user != caller.user else f" as {reference}" if reference else ""
        turn = _turn(action) if isinstance(action, Queued) else NEXT
        seats = action.seats
        once = self._once(req, caller.user, key, joined(seats) + about + _told(turn), seats[0].event) if key else None
        return Action(seats, user, caller.user, reference, turn, once)

    def wish(self, req: falcon.Request) -> Wish:
        """Which of the best seats somebody wants. Raises as `action` does."""

        def read(caller: Caller) -> tuple[Caller, tuple[Group, str]]:
            self._require_token(caller)
            group = read_body(req, Group)
            self._require_turn(caller, group)
            return self._acting(caller, group.user), (group, read_key(req))

        caller, (group, key) = self._admit(req, "user", read)
        turn = _turn(group)
        once = self._once(req, caller.user, key, f"{group.quantity} {group.adjacent}{_told(turn)}", group.event_id)
        return Wish(group, caller.user, turn, once)

    def entrant(self, req: falcon.Request) -> str:
        """The user who wants a ticket of a waiting room. Raises as `action` does."""

        def read(caller: Caller) -> tuple[Caller, None]:
            self._require_token(caller)
            return self._acting(caller, read_body(req, QueueEntry).user), None

        return self._admit(req, "user", read)[0].user

    def creation(self, req: falcon.Request) -> tuple[NewEvent, Once | None]:
        """The event that somebody wants to create. Raises as `action` does, and ScopeMissing."""

        def read(caller: Caller) -> tuple[Caller, tuple[NewEvent, str]]:
            self._require_token(caller)
            self._require_scope(caller, CREATE_EVENTS)
            return caller, (read_body(req, NewEvent), read_key(req))

        caller, (new, key) = self._admit(req, "events", read)
        content = f"{new.seats} {new.name}"
        # No name has a line break. Without more the content is as it always was: keys outlive an upgrade.
        if more := new.model_dump_json(exclude={"total_seats", "name"}, exclude_none=True).removeprefix("{}"):
            content += f"\n{more}"
        return new, self._once(req, caller.user or caller.address, key, content)

    def _once(self, req: falcon.Request, caller: str, key: str, content: str, event_id: str = "") -> Once | None:
        if not key:
            return None
        once = Once.of(caller, req.uri_template or "", key, content, self.remember_ms, event_id)
        req.context.once = once
        return once

    def _admit(
        self, req: falcon.Request, rate: str, read: Callable[[Caller], tuple[Caller, Read]]
    ) -> tuple[Caller, Read]:
        """Identifies the caller, reads what is asked, and counts it, nonsense too. Raises what `read` raises."""
        address = self._address(req)
        try:
            caller, found = read(self._identify(req, address))
        except ReservationError:
            self.limits.hit(rate, address, "")
            raise
        self.limits.hit(rate, address, caller.user)
        return caller, found

    def _acting(self, caller: Caller, named: str) -> Caller:
        """The caller, as the user whom the body names where no token does. Raises UserMismatch, InvalidRequest."""
        if self.tokens is None:
            if not named:
                raise InvalidRequest([{"field": "UUID", "message": "Field required"}])
            return caller._replace(user=named)
        if named not in ("", caller.user):
            raise UserMismatch
        return caller

    def _address(self, req: falcon.Request) -> str:
        address: str = self.addresses.of(req)
        req.context.address = address
        return address

    def _identify(self, req: falcon.Request, address: str) -> Caller:
        if self.tokens is None:
            # It says who is looking, to be shown what is theirs; who acts is in the body.
            user = _presented(req) if req.method != "POST" else ""
            hide_user(req, user)
            return Caller(address, user)
        authorization = req.get_header("Authorization")
        if authorization is None:
            return Caller(address)
        bearer = self.tokens.bearer(authorization)
        hide_user(req, bearer.user)
        return Caller(address, bearer.user, bearer.scopes)

    def _require_token(self, caller: Caller) -> None:
        if self.tokens is not None and not caller.user:
            raise TokenMissing

    def _require_turn(self, caller: Caller, asked: Queued) -> None:
        if asked.priority == "vip":
            self._require_scope(caller, BE_VIP)

    def _require_scope(self, caller: Caller, scope: str) -> None:
        if self.tokens is not None and scope not in caller.scopes:
            raise ScopeMissing(scope)


def _turn(asked: Queued) -> Turn:
    return Turn(asked.priority == "vip", asked.not_before or 0)


def _told(turn: Turn) -> str:
    """A turn as part of what a request says: nothing, if it is the next one."""
    return "" if turn == NEXT else f"\n{'vip' if turn.vip else 'standard'} {turn.not_before}"


def _presented(req: falcon.Request) -> str:
    """The user a reader says they are (`X-User-UUID`); empty if they do not. Raises InvalidRequest."""
    given = req.get_header("X-User-UUID")
    if given is None:
        return ""
    try:
        return parse_uuid(given)
    except InvalidId as error:
        raise InvalidRequest([{"field": "X-User-UUID", "message": error.detail}]) from None
