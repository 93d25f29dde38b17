"""What the receiver of an event's webhooks was told, against what has happened."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import httpx
from standardwebhooks import WebhookVerificationError

from reservation.store import Store
from tests.faults.audit import Change, Snapshot
from tests.faults.record import Record
from tests.receiver import Post

#: What is told of, by the cause of the change.
_TYPES = {cause: f"seat.{cause}" for cause in ("reserved", "released", "expired", "cancelled", "blocked", "unblocked")}


class Message(NamedTuple):
    """What is told of a change."""

    type: str
    seat: str
    sequence: int
    actor: str

    @classmethod
    def of(cls, change: Change) -> "Message":
        return cls(_TYPES[change.cause], change.seat, change.seq, change.actor if change.cause != "expired" else "")


class Told(NamedTuple):
    """What is wrong with what a receiver was told, and what it has not been told yet."""

    wrong: list[str]
    missing: list[str]


def subscribe(url: str, events: Sequence[str], receiver: str) -> dict[str, str]:
    """Has a receiver told of everything in some events; returns the secret of each one's webhook.

    Arguments:
        url: of the API.
        receiver: its URL.
    """
    secrets = {}
    for event_id in events:
        made = httpx.post(f"{url}/events/{event_id}/webhooks", json={"url": receiver}, timeout=10, trust_env=False)
        secrets[event_id] = made.raise_for_status().json()["secret"]
    return secrets


def compare(store: Store, record: Record, secrets: dict[str, str], posts: Sequence[Post]) -> Told:
    """Holds all messages of a trial against what has happened. Raises redis.RedisError."""
    wrong: list[str] = []
    missing: list[str] = []
    of_event: defaultdict[str, list[Post]] = defaultdict(list)
    for post in posts:
        of_event[post.json["data"]["event"]].append(post)
    failed = {job.id for job in record.jobs.values() if job.outcome == "failed"}
    for event_id, secret in secrets.items():
        told = dict(_told(of_event[event_id], secret, wrong))
        changes = Snapshot.of(store, record, event_id).changes
        happened = {Message.of(change) for change in changes if change.cause in _TYPES}
        messages = {message for message in told.values() if isinstance(message, Message)}
        jobs = {message for message in told.values() if isinstance(message, str)}
        wrong += [f"{event_id}: told of {message}, which was not so" for message in sorted(messages - happened)]
        if len(messages) + len(jobs) != len(told):
            wrong.append(f"{event_id}: something was told under two ids")
        missing += [f"{event_id}: not told of {message}" for message in sorted(happened - messages)]
        known = {job for job in failed if job.startswith(event_id)}
        # Of a job whose acceptance was not answered nobody knows how it ended.
        wrong += [f"{job} is told to have failed" for job in sorted(jobs - known) if job in record.jobs]
        missing += [f"not told that {job} failed" for job in sorted(known - jobs)]
    return Told(wrong, missing)


def _told(posts: Sequence[Post], secret: str, wrong: list[str]) -> Iterator[tuple[str, Message | str]]:
    """What was told under each id: a change, or the id of a job that failed."""
    told: dict[str, dict[str, Any]] = {}
    for post in posts:
        try:
            message = post.verified(secret)
        except WebhookVerificationError as error:
            wrong.append(f"{post.id}: {error}")
            continue
        if told.setdefault(post.id, message) != message:
            wrong.append(f"{post.id}: first {told[post.id]}, then {message}")
    for id_, message in told.items():
        data = message["data"]
        if message["type"] == "job.failed":
            yield id_, data["jobId"]
        else:
            yield id_, Message(message["type"], data["seat"], data["sequence"], data.get("actor", ""))
