"""What a script can answer: one number each, from Lua to here."""

from enum import IntEnum


class Code(IntEnum):
    """The outcome of a script. `CODE.NAME` in Lua is replaced by the number when it is loaded.

    Stored in job entries, so a number is never given a second meaning.
    """

    OK = 0
    UNCHANGED = 1
    ACCEPTED = 2
    PUBLISHED = 3
    REFRESHED = 4
    RELEASED = 5
    CLAIMED = 6
    CANCELLED = 7
    BLOCKED = 8
    UNBLOCKED = 9
    # Verdicts in a job's favour
    HELD = 10
    HELD_ALREADY = 11
    RESERVED = 12
    RESERVED_ALREADY = 13
    # Refusals, as an answer or as a verdict
    EVENT_UNKNOWN = 20
    SEAT_UNKNOWN = 21
    JOB_UNKNOWN = 22
    SEAT_HELD = 23
    SEAT_RESERVED = 24
    LIMIT_REACHED = 25
    NOT_ON_HOLD = 26
    NOT_HOLDER = 27
    RESERVE_PENDING = 28
    HOLD_EXPIRED = 29
    KEY_REUSED = 30
    NOT_RESERVED = 31
    NOT_OWNER = 32
    HOLD_CEILING = 33
    SEAT_BLOCKED = 35
    NO_SEATS_TOGETHER = 38
    TOO_FEW_SEATS = 39
    # No verdict
    QUEUE_FULL = 40
    EVENT_INCOMPLETE = 41
    NOT_DUE = 42
    DEADLINE_PASSED = 43
    INTERNAL_ERROR = 44
    EVENT_ABANDONED = 45
    TOO_LATE = 46
    CHANGES_GONE = 47
    SALES_NOT_OPEN = 50
    ADMISSION_REQUIRED = 51
    ROOM_UNKNOWN = 52
    TICKET_UNKNOWN = 53
    EVENT_CLOSED = 54
    WEBHOOK_LIMIT = 55
    WEBHOOK_UNKNOWN = 56
    DELIVERY_UNKNOWN = 57
    WEBHOOKS_CHANGED = 58
    OPENING_FIXED = 59
    PICK_AGAIN = 60
    WRONG_TIMES = 61
    DELAY_TOO_LONG = 62
    OWNER_CHANGED = 65

    @property
    def slug(self) -> str:
        """The name programs see: `SEAT_HELD` is `seat-held`."""
        return self.name.lower().replace("_", "-")
