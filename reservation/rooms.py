"""Waiting rooms: who may hold seats of an event that many want at once, and when
(docs/decisions/0023-waiting-room.md).

No process lets people in: when a ticket is admitted follows from its place, the rate, and the server's clock.
"""

import secrets
from collections.abc import Callable
from hashlib import blake2b
from math import ceil
from typing import Any, NamedTuple

import jwt

from reservation import keys
from reservation.codes import Code
from reservation.errors import NotFound, refusal
from reservation.ids import TicketId
from reservation.models import Ticket, WaitingRoom
from reservation.scripts import Scripts

#: Most tickets of one event that wait.
MOST_WAITING = 1_000_000
#: Bits of the random number by which who was early is shuffled: a sorted set keeps them exactly.
_BITS = 50
#: Bytes of an event's secret.
_KEY_BYTES = 32
#: Events whose secret is remembered; it never changes.
_MOST_KEYS = 10_000
#: Longest admission that is looked at, characters: ours have some 200.
_LONGEST = 500
#: How many looks a second all who wait take together, about, until each is left with one a minute.
_LOOKS = 1_000
_LONGEST_PAUSE_S = 60


class Standing(NamedTuple):
    """A ticket, as it is now.

    Attributes:
        drawn: whether the user had none before.
        retry_after_s: when to look again, seconds; 0: it is admitted.
    """

    ticket: Ticket
    drawn: bool
    retry_after_s: int


class Rooms:
    """Gives tickets, says where they stand, and checks admissions.

    Arguments:
        scripts: on the state database.
        most: most tickets of one event that wait.
        draw_bits: makes a random number of so many bits.
    """

    def __init__(
        self, scripts: Scripts, most: int = MOST_WAITING, draw_bits: Callable[[int], int] = secrets.randbits
    ) -> None:
        self._scripts = scripts
        self._most = most
        self._draw_bits = draw_bits
        self._keys: dict[str, bytes] = {}

    @staticmethod
    def fields(room: WaitingRoom) -> dict[str, str | int]:
        """What a new event with a room has in its hash, a secret of its own included."""
        return {
            "admitPerMinute": room.admit_per_minute,
            "admissionTtl": room.admission_ttl,
            "roomKey": secrets.token_hex(_KEY_BYTES),
        }

    def draw(self, event_id: str, user: str) -> Standing:
        """The user's ticket, a new one if there is none. Raises NotFound, EventClosed, QueueFull,
        StateUnavailable."""
        digest = blake2b(user.encode(), key=self._key(event_id), person=b"ticket").digest()
        ticket_id = TicketId.of(event_id, digest)
        arguments: list[str | int] = [ticket_id.token, user, self._draw_bits(_BITS), self._most]
        return self._standing(ticket_id, self._scripts.run("draw_ticket", keys.room_keys(ticket_id), arguments))

    def read(self, ticket_id: TicketId) -> Standing:
        """A ticket. Once it is admitted, so is whoever has asked. Raises NotFound, EventClosed, StateUnavailable."""
        reply = self._scripts.run("read_ticket", keys.room_keys(ticket_id), [ticket_id.token])
        return self._standing(ticket_id, reply)

    def admitted_until(self, event_id: str, user: str, admission: str) -> int:
        """Until when an admission lets a user hold seats of an event, epoch ms; 0 if it is not one for them. Whether
        that is over is for the server's clock to say. Raises StateUnavailable."""
        if not admission or len(admission) > _LONGEST:
            return 0
        try:
            claims = jwt.decode(
                admission,
                self._admission_key(event_id),
                algorithms=["HS256"],
                audience=event_id,
                subject=user,
                options={"require": ["aud", "exp", "sub"], "verify_exp": False},
            )
            return int(claims["exp"]) * 1000
        except NotFound:  # nothing that an admission is needed for
            return 0
        # What is not a token at all can make PyJWT raise these too.
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
            return 0

    def _admit(self, event_id: str, user: str, ends_s: int) -> str:
        # Without the time at which it is made, so that who asks again gets the same.
        claims = {"aud": event_id, "sub": user, "exp": ends_s}
        return jwt.encode(claims, self._admission_key(event_id), algorithm="HS256")

    def _admission_key(self, event_id: str) -> bytes:
        return blake2b(key=self._key(event_id), person=b"admission", digest_size=_KEY_BYTES).digest()

    def _key(self, event_id: str) -> bytes:
        """The event's secret. Raises NotFound."""
        if event_id not in self._keys:
            known, key = self._scripts.execute("HMGET", keys.event(event_id), "id", "roomKey")
            if key is None:
                raise refusal(Code.ROOM_UNKNOWN if known else Code.EVENT_UNKNOWN)
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            self._keys[event_id] = bytes.fromhex(key)
        return self._keys[event_id]

    def _standing(self, ticket_id: TicketId, reply: list[Any]) -> Standing:
        code, now, *rest = reply
        if code != Code.OK:
            raise refusal(Code(code), *rest, limit=self._most)
        drawn, user, place, slot_ms, ends_s, waiting, opens_ms, interval_us = rest
        event_id, token = ticket_id
        common = {
            "ticket": token,
            "event": event_id,
            "server_time": now,
            "status_endpoint": f"/events/{event_id}/queue/{token}",
        }
        if place < 0:
            # Every place is as likely, so this is the mean.
            wait_s = ceil((opens_ms - now) / 1e3 + (waiting - 1) / 2 * interval_us / 1e6)
            ticket = Ticket(status="early", estimated_wait_time=wait_s, **common)
            return Standing(ticket, bool(drawn), _pause_s(waiting))
        if ends_s:
            admission = self._admit(event_id, user, ends_s)
            expires = ends_s * 1000
            ticket = Ticket(
                status="admitted",
                admitted_at=slot_ms,
                estimated_wait_time=0,
                admission=admission,
                admission_expires_at=expires,
                **common,
            )
            return Standing(ticket, bool(drawn), 0)
        wait_s = ceil((slot_ms - now) / 1e3)
        ticket = Ticket(status="waiting", place=place, admitted_at=slot_ms, estimated_wait_time=wait_s, **common)
        return Standing(ticket, bool(drawn), max(1, min(wait_s, max(_pause_s(waiting), wait_s // 4))))


def _pause_s(waiting: int) -> int:
    """How long each of so many should pause between two looks, seconds."""
    return min(max(2, ceil(waiting / _LOOKS)), _LONGEST_PAUSE_S)
