"""Ids: made here, and checked here before any key is built from them.

An event id is 10 to 12 lower-case letters and digits; a seat id is `<eventId>-<number>`, a job id
`<eventId>-<token>`. Every id of an event therefore says which event, and so which Redis Cluster
slot, it belongs to.
"""

import re
import secrets
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from reservation.errors import InvalidId

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Letters and digits of a new event id: 51 bits. Short, because every seat's keys repeat it.
_EVENT_LENGTH = 10
#: Letters and digits of a job's token: 129 bits, because whoever has it can read the job.
_TOKEN_LENGTH = 25
#: Fewest and most seats an event can have; the latter is the highest seat number.
MIN_SEATS, MAX_SEATS = 10, 10_000
#: Most seats that one call is about: a script that works on them keeps everybody else waiting.
MAX_GROUP = 50
#: Most of an operator's, who calls rarely: they take the server some 5 ms.
MAX_BLOCK = 250

EVENT_ID_PATTERN = r"^[a-z0-9]{10,12}$"
SEAT_ID_PATTERN = r"^[a-z0-9]{10,12}-([1-9][0-9]{0,3}|10000)$"
JOB_ID_PATTERN = r"^[a-z0-9]{10,12}-[a-z0-9]{25}$"
TICKET_PATTERN = r"^[a-z0-9]{25}$"
HOOK_ID_PATTERN = r"^wh_[a-z0-9]{10}$"
#: A webhook, and the stream entry that a message tells of; `f`: one of the stream of failures.
DELIVERY_ID_PATTERN = r"^wh_[a-z0-9]{10}-[0-9]{13}-f?[0-9]{1,6}$"
#: RFC 9562, section 4: the one spelling with four hyphens. Braces, URNs and 32 bare digits are
#: other spellings of the same id, and two spellings of a user would be two users.
UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"

# fullmatch, because `$` also matches before a newline at the end.
_EVENT, _SEAT, _JOB, _TICKET, _UUID = (
    re.compile(p).fullmatch for p in (EVENT_ID_PATTERN, SEAT_ID_PATTERN, JOB_ID_PATTERN, TICKET_PATTERN, UUID_PATTERN)
)
_HOOK, _DELIVERY = (re.compile(p).fullmatch for p in (HOOK_ID_PATTERN, DELIVERY_ID_PATTERN))


#: Bytes that stand for a letter or digit, each for as many bytes as every other; the rest are left out.
_LETTERS = (_ALPHABET * 7).encode().ljust(256)
_LEFT_OUT = bytes(range(len(_ALPHABET) * 7, 256))
#: Random bytes asked of the system at once: each question lets other threads have the interpreter.
_AT_ONCE = 8_192


class _Tokens:
    """Random letters and digits, made in advance. Processes are started anew and never forked, so no other has the
    same ones.

    Arguments:
        length: letters and digits of each.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._ready: deque[str] = deque()

    def next(self) -> str:
        """One that nobody else gets, by whatever thread."""
        while True:
            try:
                return self._ready.popleft()
            except IndexError:
                letters = secrets.token_bytes(_AT_ONCE).translate(_LETTERS, _LEFT_OUT).decode()
                whole = len(letters) - len(letters) % self._length
                self._ready += [letters[at : at + self._length] for at in range(0, whole, self._length)]


_event_tokens, _job_tokens = _Tokens(_EVENT_LENGTH), _Tokens(_TOKEN_LENGTH)


def letters_of(digest: bytes) -> str:
    """A digest as letters and digits: one for each byte, but for the 4 in 256 that are left out."""
    return digest.translate(_LETTERS, _LEFT_OUT).decode()


def new_secret() -> str:
    """22 letters and digits that nobody else knows (113 random bits)."""
    return _job_tokens.next()[:22]


def new_message_id() -> str:
    """An id for a message (129 random bits)."""
    return _job_tokens.next()


def new_event_id() -> str:
    """An event id that was not used before (51 random bits)."""
    return _event_tokens.next()


def new_hook_id() -> str:
    """A webhook's id that was not used before (51 random bits)."""
    return f"wh_{_event_tokens.next()}"


def parse_hook_id(text: str) -> str:
    """Returns `text` if it is a webhook's id. Raises InvalidId."""
    if not _HOOK(text):
        raise InvalidId("A webhook's id is wh_ and 10 lower-case letters and digits.")
    return text


class DeliveryId(NamedTuple):
    """A message to a webhook: the webhook, and the entry of the event's history that it tells of."""

    hook: str
    entry: str

    def __str__(self) -> str:
        return f"{self.hook}-{self.entry}"

    @property
    def time_ms(self) -> int:
        """When that happened which it tells of."""
        return int(self.entry.partition("-")[0])

    @classmethod
    def parse(cls, text: str) -> "DeliveryId":
        """Reads `<hookId>-<entry>`. Raises InvalidId."""
        if not _DELIVERY(text):
            raise InvalidId("A delivery's id is a webhook's id, a hyphen and the message's place.")
        hook, _, entry = text.partition("-")
        return cls(hook, entry)


def parse_event_id(text: str) -> str:
    """Returns `text` if it is an event id. Raises InvalidId."""
    if not _EVENT(text):
        raise InvalidId("An event id is 10 to 12 lower-case letters and digits.")
    return text


class SeatId(NamedTuple):
    """A seat: its event's id and its number, 1 to 10,000."""

    event: str
    number: int

    def __str__(self) -> str:
        return f"{self.event}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> "SeatId":
        """Reads `<eventId>-<number>`. Raises InvalidId."""
        if not _SEAT(text):
            raise InvalidId("A seat id is an event id, a hyphen and the seat's number.")
        event, _, number = text.partition("-")
        return cls(event, int(number))


def joined(seats: Iterable[SeatId]) -> str:
    """Seat ids with blanks between them."""
    return " ".join(map(str, seats))


def parse_seats(text: str) -> tuple[SeatId, ...]:
    """Reads seat ids with blanks between them. Raises InvalidId."""
    return tuple(map(SeatId.parse, text.split(" ")))


class JobId(NamedTuple):
    """A job: its event's id and a token that cannot be guessed."""

    event: str
    token: str

    def __str__(self) -> str:
        return f"{self.event}-{self.token}"

    @classmethod
    def new(cls, event: str) -> "JobId":
        """A job id of this event (129 random bits)."""
        return cls(event, _job_tokens.next())

    @classmethod
    def parse(cls, text: str) -> "JobId":
        """Reads `<eventId>-<token>`. Raises InvalidId."""
        if not _JOB(text):
            raise InvalidId("A job id is an event id, a hyphen and 25 lower-case letters and digits.")
        event, _, token = text.partition("-")
        return cls(event, token)


class TicketId(NamedTuple):
    """A ticket of an event's waiting room: the event's id and a token that cannot be guessed."""

    event: str
    token: str

    @classmethod
    def of(cls, event: str, digest: bytes) -> "TicketId":
        """The ticket that a digest of 64 bytes stands for (129 bits of it)."""
        return cls(event, letters_of(digest)[:_TOKEN_LENGTH])

    @classmethod
    def parse(cls, event: str, token: str) -> "TicketId":
        """Reads both. Raises InvalidId."""
        if not _TICKET(token):
            raise InvalidId("A ticket is 25 lower-case letters and digits.")
        return cls(parse_event_id(event), token)


def parse_uuid(text: str) -> str:
    """Returns a user's UUID in lower case. Raises InvalidId for any spelling but the hyphened one."""
    if not _UUID(text):
        raise InvalidId("A UUID is written as 8-4-4-4-12 hexadecimal digits (RFC 9562).")
    return text.lower()
