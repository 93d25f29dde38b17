"""Where a request comes from, by the word of those proxies only that are trusted."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import falcon

#: Leading bits of an IPv6 address that are one client's: whoever has one address has a /64 (RFC 6177).
_ONE_CLIENT = 64


class Addresses:
    """Tells clients' addresses.

    Arguments:
        trusted: networks of the proxies whose `X-Forwarded-For` counts.
    """

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = trusted
        self._of = lru_cache(4_096)(self._find)

    def of(self, req: falcon.Request) -> str:
        """The client's address; of IPv6, its /64. The nearest that no trusted proxy has, where there are proxies;
        who comes directly may say in `X-Forwarded-For` what they like."""
        return self.told(req.remote_addr, req.env.get("HTTP_X_FORWARDED_FOR", ""))

    def told(self, peer: str, forwarded: str) -> str:
        """The same of a request that `peer` sent, with this `X-Forwarded-For`."""
        return self._of(peer, forwarded if self._trusted else "")

    def _find(self, peer: str, forwarded: str) -> str:
        client = _parse(peer)
        for hop in reversed(forwarded.split(",")):
            if client is None or not self._is_trusted(client):
                break
            before = _parse(hop)
            if before is None:  # a proxy that does not know, or somebody who makes things up
                break
            client = before
        return peer if client is None else _shown(client)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address with or without brackets and port; None if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _shown(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, _ONE_CLIENT), strict=False))
