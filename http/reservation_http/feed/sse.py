"""Server-Sent Events (WHATWG HTML, section 9.2), as bytes: made once, however many watch."""

import random
import time

#: How long a client waits before it connects again, ms: each another time, or all would come at once.
_RETRY_MS = (500, 1_500)


def event(name: str, data: bytes, sequence: int | None = None) -> bytes:
    """An event.

    Arguments:
        data: one line.
        sequence: what a client says that it knows when it connects again; None leaves that as it was.
    """
    number = b"" if sequence is None else b"id: %d\n" % sequence
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), number, data)


def heartbeat(sequence: int) -> bytes:
    """That there is nothing after a change, now."""
    return event("heartbeat", b'{"sequence":%d,"time":%d}' % (sequence, time.time() * 1000))


def opening() -> bytes:
    """What a stream begins with."""
    return b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311 - no secret


def chunk(data: bytes) -> bytes:
    """A piece of a body that is sent in chunks (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
