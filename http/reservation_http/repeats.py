"""Requests that may be sent again: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07)."""

import re

import falcon

from reservation_http.errors import InvalidRequest

HEADER = "Idempotency-Key"
#: A key as the draft has it, a string of structured fields (RFC 9651, section 3.3.3), or bare, as many send it.
KEY_PATTERN = r'^("[!#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$'
_KEY = re.compile(KEY_PATTERN).fullmatch


def read_key(req: falcon.Request) -> str:
    """The request's key; empty if it has none. Raises InvalidRequest."""
    given = req.get_header(HEADER)
    if given is None:
        return ""
    if not _KEY(given):
        message = "A key is 1 to 255 visible ASCII characters, in double quotes or not; no other quotes, no \\."
        raise InvalidRequest([{"field": HEADER, "message": message}])
    return given.strip('"')
