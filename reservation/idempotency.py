"""Idempotency keys: a request that a client sends again is answered as it was the first time, and done once
(draft-ietf-httpapi-idempotency-key-header; docs/decisions/0011-idempotency.md).

What a script does for a request and the record of its answer are one atomic step, so there is nothing that a crash
could come between. An event takes more than one step, and its id is made of caller, route, key and a secret that is
kept with them: whoever goes on with it makes the same event.
"""

from dataclasses import dataclass
from hashlib import blake2b

from reservation import keys
from reservation.ids import letters_of

#: Bytes of a fingerprint, which is written in twice as many characters; and that of a request without a key.
_BYTES = 11
NO_KEY = " " * 2 * _BYTES


@dataclass
class Once:
    """A request that may be sent again.

    Attributes:
        origin: caller, route and key.
        record: the key of its record, in Redis.
        fingerprint: of the request's content.
        ttl_ms: how long the record is kept.
        replayed: whether it had been answered before.
    """

    origin: bytes
    record: str
    fingerprint: str
    ttl_ms: int
    replayed: bool = False

    @classmethod
    def of(cls, caller: str, route: str, key: str, content: str, ttl_ms: int, event_id: str = "") -> "Once":
        """A request.

        Arguments:
            caller: who sends it; keys of others are others.
            route: what it is sent to.
            key: the client's.
            content: all that the request says, in one spelling.
            ttl_ms: how long it is remembered.
            event_id: the event that it is about, if that is there: its record is kept beside it.
        """
        origin = f"{caller}\0{route}\0{key}".encode()
        digest = blake2b(origin, digest_size=16).hexdigest()
        record = keys.once(event_id, digest) if event_id else keys.idempotency(digest)
        fingerprint = blake2b(content.encode(), digest_size=_BYTES).hexdigest()
        return cls(origin, record, fingerprint, ttl_ms)

    def event_ids(self, secret: str) -> list[str]:
        """Of the event that this request makes: the second is for when the first was given up."""
        letters = letters_of(blake2b(self.origin, key=secret.encode(), digest_size=64).digest())
        return [letters[:12], letters[12:24]]
