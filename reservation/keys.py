"""The key schema. Braces are literal: they are the Redis Cluster hash tag, so that all keys of an
event sit in one slot and a script may change them together.

    event:{E}                hash    id, name, totalSeats, createdAt ms; version: number of changes;
                                     tickets: last one given; endedAt, pace: see lua/_job.lua;
                                     layout: as it was given, JSON;
                                     opensAt ms, closesAt ms; admitPerMinute, admissionTtl s, roomKey (secret, hex),
                                     nextSlot µs: of one with a waiting room (lua/_room.lua).
                                     Written last, so an event is whole or absent
    event:{E}:seats          set     every seat id
    event:{E}:available      zset    free seats, by number
    event:{E}:blocked        zset    seats that operators have taken out of the sale, by number
    event:{E}:holds          zset    seats on hold, by when the hold ends, ms: the truth about expiry
    event:{E}:holder:<uuid>  zset    one user's held seats, by the same; expires with the last of them
    event:{E}:buyer:<uuid>   zset    one user's reserved seats, by when they were reserved, ms
    event:{E}:picked         zset    numbers of seats that open jobs for the best ones have picked, by
                                     their deadlines, ms; only other such jobs leave them alone
    event:{E}:changes        stream  every change of a seat: seq, seat, cause, actor (keyed hash), job,
                                     request; reason, if an operator gave one; trimmed by age
    event:{E}:failures       stream  jobs that have failed: seq, seat (numbers, with blanks between them),
                                     cause, actor, job, request, code; trimmed by age, and expires
    event:{E}:jobs           zset    open jobs, by ticket or time: lua/_turn.lua
    event:{E}:webhooks       hash    webhooks, and how far the two streams were followed: lua/_webhooks.lua
    event:{E}:webhook:<id>   hash    messages to one webhook, by entry, as JSON: lua/_webhooks.lua;
                      :log   zset    the same, by the order in which they were made
                      :due   zset    those that are pending, by when they are to be sent, ms
                      :busy  zset    those that are being sent, by when that counts as lost, ms
    event:{E}:abandoned      string  PX: its creation was given up and must not go on
    event:{E}:call:<id>      string  PX: what a refresh, release or cancel answered, in case its reply is lost;
                                     retry-<token>: which job repeats the failed one
    event:{E}:releasing      string  PX: a release_expired message is on its way
    event:{E}:retiring       string  PX: it is being archived and removed
    event:{E}:early          zset    tickets drawn before the opening, by a random number; expires an
                                     hour after the last of them is admitted
    event:{E}:ticket:<token> hash    user; slot: when it is admitted, µs; ends: of the admission, s. The
                                     token is made of user and roomKey. Expires with the admission, or an
                                     hour after its slot if nobody has asked for that
    seat:{E}-N               hash    id, eventId, UUID, status; blocked: 1 of one that is, whose status is
                                     Reserved then, nobody's; heldAt, expiresAt, reservingUntil,
                                     reservedAt in ms; reserveJob; reservation: the job that reserved
                                     it, reference: what the client calls that
    seat:{E}-N:lock          string  the holder's UUID, PX: its expiry wakes release_expired
    job:{E}-J                hash    the job ledger: type, user, request, status, code, createdAt,
                                     completedAt, deadline, sentAt in ms, attempts; of each seat, with
                                     blanks between them, seatId and expiresAt ms; limit, held,
                                     requested; against: seats in the way, as number and letter;
                                     reference: of a reservation, the client's;
                                     retryOf: the failed job that it repeats; awaited: channels on
                                     which its end is told; adjacent: it is for the best seats,
                                     required or preferred together; got: those it got;
                                     priority: vip, of those; notBefore ms, of one for later
    events                   zset    all events, by creation
    webhook-events           zset    events that have webhooks, by when last touched
    active-events            zset    events that may have open jobs or holds, by when last touched
    event:{E}:once:<digest>  string  PX: what a POST about a seat is answered that is sent again
                                     (lua/_once.lua); the digest is of caller, route and key
    idempotency:<digest>     string  PX: the same of one that creates an event (lua/claim_event.lua)
    {fleet}:workers          zset    live processes, by when their word lapses, ms;
    {fleet}:sweepers         zset    the same
    {fleet}:webhooks         zset    the same
    {fleet}:lag              string  PX: ms that jobs wait before a worker starts them
    {fleet}:lag:vip          string  the same of VIP jobs
    {fleet}:tally            hash    what all processes have counted: ended:<type>:<outcome>, and
                                     took:<type>:<seconds at most> by how long it took; expired
    {fleet}:failed           list    the last jobs that ended without a verdict, newest first:
                                     time ms, type, outcome, job id
    {fleet}:told:<process>   string  PX: number of the last counts of a process that were added

and one channel for each process in which requests wait for jobs: `ended:<process>`, on which it is told their ids.
"""

import re
from collections.abc import Iterable

from reservation.ids import JobId, SeatId, TicketId

EVENTS = "events"
ACTIVE = "active-events"
WEBHOOK_EVENTS = "webhook-events"
WORKERS = "{fleet}:workers"
SWEEPERS = "{fleet}:sweepers"
SENDERS = "{fleet}:webhooks"
#: How long jobs wait before a worker starts them, and VIP jobs.
QUEUE_LAGS = ("{fleet}:lag", "{fleet}:lag:vip")
TALLY = "{fleet}:tally"
FAILED = "{fleet}:failed"
#: What an expiring hold's notification is published under, in database 0.
LOCK_PATTERN = "__keyspace@{db}__:seat:*:lock"
_JOB_KEY = re.compile(r"job:\{([a-z0-9]{10,12})\}-([a-z0-9]{25})").fullmatch
_LOCK_CHANNEL = re.compile(r"__keyspace@\d+__:seat:\{(\w+)\}-(\d+):lock").fullmatch


def event(event_id: str) -> str:
    return f"event:{{{event_id}}}"


def seats(event_id: str) -> str:
    return f"event:{{{event_id}}}:seats"


def available(event_id: str) -> str:
    return f"event:{{{event_id}}}:available"


def blocked(event_id: str) -> str:
    return f"event:{{{event_id}}}:blocked"


def holds(event_id: str) -> str:
    return f"event:{{{event_id}}}:holds"


def holder(event_id: str, user: str) -> str:
    return f"event:{{{event_id}}}:holder:{user}"


def buyer(event_id: str, user: str) -> str:
    return f"event:{{{event_id}}}:buyer:{user}"


def later(event_id: str, user: str) -> str:
    return f"event:{{{event_id}}}:later:{user}"


def picked(event_id: str) -> str:
    return f"event:{{{event_id}}}:picked"


def changes(event_id: str) -> str:
    return f"event:{{{event_id}}}:changes"


def failures(event_id: str) -> str:
    return f"event:{{{event_id}}}:failures"


def webhooks(event_id: str) -> str:
    return f"event:{{{event_id}}}:webhooks"


def webhook(event_id: str, hook_id: str) -> list[str]:
    """The four keys of a webhook, as the scripts about it name them: its messages, :log, :due and :busy."""
    key = f"event:{{{event_id}}}:webhook:{hook_id}"
    return [key, f"{key}:log", f"{key}:due", f"{key}:busy"]


def jobs(event_id: str) -> str:
    return f"event:{{{event_id}}}:jobs"


def abandoned(event_id: str) -> str:
    return f"event:{{{event_id}}}:abandoned"


def call(event_id: str, call_id: str) -> str:
    return f"event:{{{event_id}}}:call:{call_id}"


def releasing(event_id: str) -> str:
    return f"event:{{{event_id}}}:releasing"


def retiring(event_id: str) -> str:
    return f"event:{{{event_id}}}:retiring"


def seat(seat_id: SeatId) -> str:
    return f"seat:{{{seat_id.event}}}-{seat_id.number}"


def lock(seat_id: SeatId) -> str:
    return f"seat:{{{seat_id.event}}}-{seat_id.number}:lock"


def job(job_id: JobId) -> str:
    return f"job:{{{job_id.event}}}-{job_id.token}"


def once(event_id: str, digest: str) -> str:
    return f"event:{{{event_id}}}:once:{digest}"


def early(event_id: str) -> str:
    return f"event:{{{event_id}}}:early"


def ticket(ticket_id: TicketId) -> str:
    return f"event:{{{ticket_id.event}}}:ticket:{ticket_id.token}"


def jobs_like(event_id: str | None) -> str:
    """What SCAN finds ledger entries by: an event's, or all."""
    return f"job:{{{event_id or '*'}}}-*"


def job_of(key: str) -> JobId | None:
    """The job whose ledger entry this is, or None if it is another key."""
    match = _JOB_KEY(key)
    return JobId(match[1], match[2]) if match else None


def of_event(event_id: str) -> list[str]:
    """Those of an event that have no other name in theirs, without its hash."""
    names = [seats, available, blocked, holds, picked, changes, failures, jobs, webhooks, releasing, early]
    return [name(event_id) for name in names]


def retried(job_id: JobId) -> str:
    """Which job repeats this one."""
    return call(job_id.event, f"retry-{job_id.token}")


def idempotency(digest: str) -> str:
    return f"idempotency:{digest}"


def ended(process_id: str) -> str:
    return f"ended:{process_id}"


def told(process_id: str) -> str:
    return f"{{fleet}}:told:{process_id}"


def event_keys(event_id: str) -> list[str]:
    """KEYS 1 to 4 of lua/_event.lua."""
    return [event(event_id), available(event_id), holds(event_id), changes(event_id)]


def user_keys(event_id: str, user: str) -> list[str]:
    """KEYS 1 to 5 of lua/_seats.lua."""
    return [*event_keys(event_id), holder(event_id, user)]


def seat_keys(seat_ids: Iterable[SeatId]) -> list[str]:
    """The last KEYS of lua/_seats.lua."""
    return [key for seat_id in seat_ids for key in (seat(seat_id), lock(seat_id))]


def room_keys(ticket_id: TicketId) -> list[str]:
    """KEYS 1 to 3 of lua/_room.lua."""
    return [event(ticket_id.event), early(ticket_id.event), ticket(ticket_id)]


def seat_of_lock(channel: str) -> SeatId | None:
    """The seat whose lock a keyspace notification speaks of, or None if it is another key's."""
    match = _LOCK_CHANNEL(channel)
    return SeatId(match[1], int(match[2])) if match else None
