"""Webhooks: who is told what has happened in an event, what they are told, and what came of it.

What has happened is the event's stream of changes, and that of its failures. One script makes the messages of what
came since it last ran, and notes how far it got, so that none is lost and none made twice, whoever runs it and however
often. The log of messages is the truth about what is still to be sent (docs/decisions/0024-webhooks.md).
"""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

from reservation import keys
from reservation.clients import Command
from reservation.codes import Code
from reservation.errors import refusal
from reservation.idempotency import Once
from reservation.ids import DeliveryId, new_hook_id
from reservation.scripts import Scripts
from reservation.settings import Settings
from reservation.webhook_models import (
    CreatedWebhook,
    Delivery,
    DeliveryList,
    Message,
    MessageData,
    Webhook,
    WebhookType,
    iso,
)

#: Webhooks of an event.
MOST_WEBHOOKS = 5
#: Messages of one webhook that are sent at a time. More keep their order less, and a slow receiver has more threads.
AT_A_TIME = 4
#: Messages of one webhook that are kept once they have ended. Those that are pending are kept in any case.
KEPT = 10_000

#: Entries of a stream that are followed in one call, in which nobody else is served: about a millisecond, with as many
#: webhooks as there may be.
_ENTRIES = 20
#: How long a message may be on its way to whoever sends it before it is given to another, ms.
_CLAIM_MS = 15_000
#: How long an attempt may take until it counts as lost, ms: more than its time-outs, and the lookup of a name.
LEASE_MS = 60_000
#: How long nothing may arrive until a webhook is disabled, ms.
_FAILING_MS = 3 * 86_400_000
#: Messages that are looked at for a page of those with one status: about a millisecond.
_LOOKED_AT = 200
#: How long an event stays among those that have webhooks after it was last touched, ms. Longer than a new one takes.
_GRACE_MS = 60_000

TYPES: Sequence[WebhookType] = get_args(WebhookType)


class Following(NamedTuple):
    """What there is to do about an event.

    Attributes:
        missed: changes that the stream did not have any more.
        more: whether there are more that have not been looked at.
        claimed: messages that the caller has to have sent.
    """

    missed: int
    more: bool
    claimed: Sequence[DeliveryId]


class Attempt(NamedTuple):
    """A message that is to be sent now.

    Attributes:
        url, secret: where to, and what it is signed with.
        body: what is sent.
        now_ms: the server's clock.
        tried: attempts before this one, since the message was made or asked for again.
        number: of this attempt.
    """

    id: DeliveryId
    url: str
    secret: str
    body: bytes
    now_ms: int
    tried: int
    number: int


class Outcome(NamedTuple):
    """What came of an attempt.

    Attributes:
        status_code: what was answered; None for no answer.
        error: why there was none.
        again_ms: when to try again, in so many ms; None: never.
    """

    status_code: int | None
    error: str = ""
    again_ms: int | None = None

    @property
    def arrived(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def gone(self) -> bool:
        """Whether nothing is wanted there any more."""
        return self.status_code == 410


class Next(NamedTuple):
    """What follows from an attempt's end.

    Attributes:
        disabled: why the webhook was disabled just now; empty if it was not.
        claimed: more of its messages, which the caller has to have sent.
    """

    disabled: str
    claimed: Sequence[DeliveryId]


class Webhooks:
    """The webhooks of events, and their messages.

    Arguments:
        scripts: on the state database.
        kept_ms: how long messages are kept.
        claim_ms: how long a claim holds; replaced where a test cannot wait for it.
    """

    def __init__(self, scripts: Scripts, kept_ms: int, claim_ms: int = _CLAIM_MS) -> None:
        self._scripts = scripts
        self._kept_ms = kept_ms
        self._claim_ms = claim_ms

    @classmethod
    def of(cls, scripts: Scripts, settings: Settings) -> "Webhooks":
        """As it is set."""
        return cls(scripts, round(settings.webhook_retention * 1000))

    # What clients ask for

    def create(
        self, event_id: str, url: str, types: Sequence[WebhookType], secret: str = "", once: Once | None = None
    ) -> CreatedWebhook:
        """Adds a webhook to an event. Raises NotFound, TooManyWebhooks, KeyReused, StateUnavailable.

        Arguments:
            secret: made up if empty.
            once: the request, if it may be sent again.
        """
        # Indexed first, so that it is followed.
        if not self._scripts.execute("EXISTS", keys.event(event_id)):
            raise refusal(Code.EVENT_UNKNOWN)
        self._scripts.run("touch_event", [keys.WEBHOOK_EVENTS], [event_id])
        names = [keys.event(event_id), keys.webhooks(event_id), keys.changes(event_id), keys.failures(event_id)]
        said: list[str | int] = [new_hook_id(), url, secret or _new_secret(), " ".join(types), MOST_WEBHOOKS]
        if once is not None:
            names.append(once.record)
            said += [once.fingerprint, once.ttl_ms]
        code, _, *reply = self._scripts.run("create_webhook", names, said)
        if once is not None and code == Code.OK + 1_000:
            once.replayed, code = True, Code.OK
        if code != Code.OK:
            raise refusal(Code(code), limit=MOST_WEBHOOKS)
        hook_id, secret, created_at = reply
        return CreatedWebhook(
            id=hook_id, url=url, types=list(types), enabled=True, created_at=created_at, secret=secret
        )

    def of_event(self, event_id: str) -> list[Webhook]:
        """An event's webhooks, the oldest first. Raises NotFound, StateUnavailable."""
        exists, pairs = self._scripts.execute_each(
            [("EXISTS", keys.event(event_id)), ("HGETALL", keys.webhooks(event_id))]
        )
        if not exists:
            raise refusal(Code.EVENT_UNKNOWN)
        fields = _fields(pairs)
        return sorted((_webhook(hook_id, fields) for hook_id in _ids(fields)), key=lambda hook: hook.created_at)

    def get(self, event_id: str, hook_id: str) -> Webhook:
        """One of them. Raises NotFound, StateUnavailable."""
        for hook in self.of_event(event_id):
            if hook.id == hook_id:
                return hook
        raise refusal(Code.WEBHOOK_UNKNOWN)

    def enable(self, event_id: str, hook_id: str, *, enabled: bool) -> Webhook:
        """Says whether messages are sent to it; what is pending waits meanwhile, and nothing that happens meanwhile
        is told. Raises NotFound, StateUnavailable."""
        (code,) = self._scripts.run("enable_webhook", [keys.webhooks(event_id)], [hook_id, int(enabled)])
        if code != Code.OK:
            raise refusal(Code(code))
        return self.get(event_id, hook_id)

    def remove(self, event_id: str, hook_id: str) -> None:
        """Removes a webhook with its messages. Raises NotFound, StateUnavailable."""
        (code,) = self._scripts.run("remove_webhook", _keys(event_id, hook_id), [hook_id])
        if code != Code.OK:
            raise refusal(Code(code))

    def deliveries(
        self, event_id: str, hook_id: str, limit: int, after: DeliveryId | None = None, status: str = ""
    ) -> DeliveryList:
        """A webhook's messages, the newest first. Raises NotFound, StateUnavailable.

        Arguments:
            after: list only those that follow this one.
            status: list only those that have it; a page may be shorter then.
        """
        if after is not None and after.hook != hook_id:
            raise refusal(Code.DELIVERY_UNKNOWN)
        said: list[str | int] = [hook_id, after.entry if after else "", limit, status, _LOOKED_AT]
        code, *reply = self._scripts.run("list_deliveries", _keys(event_id, hook_id), said)
        if code != Code.OK:
            raise refusal(Code(code))
        last, *found = reply
        return DeliveryList(
            deliveries=[
                _delivery(DeliveryId(hook_id, entry), json.loads(text), due)
                for entry, text, due in zip(found[::3], found[1::3], found[2::3], strict=True)
            ],
            next_cursor=str(DeliveryId(hook_id, last)) if last else None,
        )

    def replay(self, event_id: str, delivery: DeliveryId) -> Delivery:
        """Has a message sent again, whatever came of it. Raises NotFound, StateUnavailable."""
        names, said = _keys(event_id, delivery.hook), [delivery.hook, delivery.entry]
        code, *reply = self._scripts.run("replay_delivery", names, said)
        if code != Code.OK:
            raise refusal(Code(code))
        text, due = reply
        return _delivery(delivery, json.loads(text), due)

    # What is done about them

    def events(self) -> list[str]:
        """Events that may have webhooks. Raises StateUnavailable."""
        return list(self._scripts.execute("ZRANGE", keys.WEBHOOK_EVENTS, 0, -1))

    def find(self, event_ids: Sequence[str]) -> None:
        """Puts those of the events that have webhooks among them, where that was lost. Raises StateUnavailable."""
        commands: list[Command] = [("EXISTS", keys.webhooks(event_id)) for event_id in event_ids]
        for event_id, has_some in zip(event_ids, self._scripts.execute_each(commands), strict=True):
            if has_some:
                self._scripts.run("touch_event", [keys.WEBHOOK_EVENTS], [event_id])

    def follow(self, event_ids: Sequence[str], *, claim: bool = True) -> dict[str, Following]:
        """Makes messages of what has happened in events since it was last called, and takes those that are due, in one
        go. Leaves out what cannot be reached. Raises StateUnavailable if nothing can.

        Arguments:
            claim: whether to take any.
        """
        commands: list[Command] = [("HGETALL", keys.webhooks(event_id)) for event_id in event_ids]
        found = zip(event_ids, self._scripts.execute_each(commands), strict=True)
        hooks = {event_id: _ids(_fields(pairs)) for event_id, pairs in found if pairs is not None}
        if idle := [event_id for event_id, ids in hooks.items() if not ids]:
            drops: list[tuple[list[str], list[str | int]]] = [
                ([keys.WEBHOOK_EVENTS], [event_id, _GRACE_MS]) for event_id in idle
            ]
            self._scripts.run_each("drop_idle", drops)
        followed = {event_id: ids for event_id, ids in hooks.items() if ids}
        replies = self._scripts.run_each("follow_event", [self._following(*each, claim) for each in followed.items()])
        return {
            event_id: Following(missed, bool(more), list(map(DeliveryId.parse, claimed)))
            for event_id, (code, *rest) in zip(followed, (reply or [None] for reply in replies), strict=True)
            if code == Code.OK  # else its webhooks have just changed: next time
            for missed, more, *claimed in [rest]
        }

    def _following(self, event_id: str, hook_ids: Sequence[str], claim: bool) -> tuple[list[str], list[str | int]]:
        names = [keys.event(event_id), keys.changes(event_id), keys.failures(event_id), keys.webhooks(event_id)]
        for hook_id in hook_ids:
            names += keys.webhook(event_id, hook_id)
        return names, [_ENTRIES, self._kept_ms, KEPT, AT_A_TIME if claim else 0, self._claim_ms, *hook_ids]

    def begin(self, event_id: str, delivery: DeliveryId, lease_ms: int = LEASE_MS) -> Attempt | None:
        """Takes a message to be sent now; None if that is nobody's to do, or another's. Raises StateUnavailable.

        Arguments:
            lease_ms: how long it may take until it counts as lost.
        """
        code, *reply = self._scripts.run(
            "begin_delivery", _keys(event_id, delivery.hook), [delivery.hook, delivery.entry, lease_ms]
        )
        if code != Code.OK:
            return None
        now, hook, text, number = reply
        webhook, message = json.loads(hook), json.loads(text)
        body = _message(event_id, delivery, message).model_dump_json(by_alias=True, exclude_none=True).encode()
        return Attempt(delivery, webhook["url"], webhook["secret"], body, now, message["tried"], number)

    def end(self, event_id: str, attempt: Attempt, outcome: Outcome) -> Next:
        """Writes what came of an attempt. Raises StateUnavailable."""
        said: list[str | int] = [
            attempt.id.hook,
            attempt.id.entry,
            attempt.number,
            int(outcome.arrived),
            "" if outcome.status_code is None else outcome.status_code,
            outcome.error,
            -1 if outcome.again_ms is None else outcome.again_ms,
            int(outcome.gone),
            _FAILING_MS,
            AT_A_TIME,
            self._claim_ms,
        ]
        code, *reply = self._scripts.run("end_delivery", _keys(event_id, attempt.id.hook), said)
        if code != Code.OK:
            return Next("", [])
        disabled, *claimed = reply
        return Next(disabled, list(map(DeliveryId.parse, claimed)))


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _keys(event_id: str, hook_id: str) -> list[str]:
    return [keys.webhooks(event_id), *keys.webhook(event_id, hook_id)]


def _fields(reply: Any) -> dict[str, str]:
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def _ids(fields: Mapping[str, str]) -> list[str]:
    return sorted(name for name in fields if name.startswith("wh_") and ":" not in name)


def _webhook(hook_id: str, fields: Mapping[str, str]) -> Webhook:
    hook = json.loads(fields[hook_id])
    disabled = fields.get(f"{hook_id}:disabled")
    return Webhook(
        id=hook_id,
        url=hook["url"],
        types=hook["types"].split(),
        enabled=disabled is None,
        disabled=disabled,  # type: ignore[arg-type]  # the scripts write no other
        created_at=hook["createdAt"],
    )


def _delivery(delivery: DeliveryId, message: Mapping[str, Any], due: int) -> Delivery:
    return Delivery(
        id=str(delivery),
        type=message["type"],
        status=message["status"],
        attempts=message["attempts"],
        status_code=message.get("statusCode"),
        error=message.get("error"),
        next_attempt_at=due if message["status"] == "pending" else None,
        created_at=delivery.time_ms,
        ended_at=message.get("endedAt"),
    )


def _message(event_id: str, delivery: DeliveryId, message: Mapping[str, Any]) -> Message:
    seats = [f"{event_id}-{number}" for number in message["seat"].split()]
    data = MessageData(
        event=event_id,
        seat=seats[0],
        seats=seats if len(seats) > 1 else None,
        sequence=message.get("sequence"),
        actor=message["actor"] or None,
        job_id=message.get("job"),
        error=Code(message["code"]).slug if "code" in message else None,
        time=delivery.time_ms,
    )
    return Message(type=cast(WebhookType, message["type"]), timestamp=iso(delivery.time_ms), data=data)
