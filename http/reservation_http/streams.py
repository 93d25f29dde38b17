"""Where the stream service is, as a client sees it."""

import re

import falcon

from reservation.settings import Settings

#: A host as a URL has it (RFC 3986, section 3.2.2), as far as browsers send one: a name, or an address.
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch


def host_asked(req: falcon.Request) -> str | None:
    """The host that a client asked, without a port; None if it does not say."""
    asked = _HOST(req.get_header("Host") or "")
    return asked[1] if asked else None


class StreamAddress:
    """Tells a client where the live feed is.

    Arguments:
        url: its address; `/` where it has the API's own; empty: the host that the client asked, at `port`.
        port: of the stream service.
        host: for a client that does not say whom it asks.
    """

    def __init__(self, url: str, port: int, host: str) -> None:
        self._url = "" if url == "/" else url
        self._beside = None if url else port
        self._host = host

    @classmethod
    def of(cls, settings: Settings) -> "StreamAddress":
        """As it is set."""
        host = settings.reachable_host
        return cls(settings.stream_url, settings.stream_at, f"[{host}]" if ":" in host else host)

    def seen_by(self, req: falcon.Request) -> str:
        """The feed's base address, without a slash at the end; empty if it is the API's own."""
        if self._beside is None:
            return self._url
        return f"{req.scheme}://{host_asked(req) or self._host}:{self._beside}"


def origin(req: falcon.Request) -> str:
    """The API's own address, as the client asked for it; where it does not say whom it asks, without a host to
    mislead it: a page of ours has it in commands to copy."""
    asked = _HOST(req.get_header("Host") or "")
    return f"{req.scheme}://{asked[0] if asked else '127.0.0.1:3000'}"
