"""Addresses that somebody else names and this service is to send something to: none that only we can reach.

A name is looked up and what it means is checked, and to that very address goes the connection: a second lookup might be
answered otherwise (OWASP, Server-Side Request Forgery Prevention).
"""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from pydantic import HttpUrl, TypeAdapter, ValidationError

#: Longest URL, characters.
MAX_URL = 2_000

#: What is not on the public internet (RFC 6890 and IANA's registry of special-purpose addresses), multicast included.
#: Written out: what `ipaddress` calls global differs between versions of Python.
_NOT_PUBLIC_4 = [
    *map(IPv4Network, ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12")),
    *map(IPv4Network, ("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15")),
    *map(IPv4Network, ("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")),
]
#: The only IPv6 addresses that are given out (RFC 4291), but for those of protocols (Teredo among them), 6to4 and
#: examples. So no other way to write an IPv4 address passes: neither mapped (::ffff:0:0/96) nor NAT64 (64:ff9b::/96).
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = [*map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))]

#: Finds a host's addresses. Raises OSError.
Resolver = Callable[[str, int], Sequence[str]]


class NotAllowed(Exception):
    """Raised when a URL, or where it leads, is none that may be asked. Its text says why."""


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def look_up(host: str, port: int) -> Sequence[str]:
    """The system's answer. It may take as long as the system lets it. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def addresses(host: str, port: int, resolve: Resolver, *, allow_private: bool) -> Sequence[str]:
    """A host's addresses, once all of them are allowed: one that is not is reason enough to ask none. Raises
    NotAllowed, OSError.

    Arguments:
        host: a name, or an address without brackets.
        resolve: looks it up.
        allow_private: whether addresses may be any.
    """
    found = resolve(host, port)
    if not found:
        raise OSError("the name has no address")
    if not allow_private and not all(map(is_public, found)):
        raise NotAllowed("leads to an address that is not public")
    return found


def parse(text: str, *, allow_private: bool) -> HttpUrl:
    """A URL that may be asked, as far as it says itself. Raises NotAllowed."""
    try:
        url = TypeAdapter(HttpUrl).validate_python(text)
    except ValidationError:
        raise NotAllowed("is no URL of a web server") from None
    if len(str(url)) > MAX_URL:
        raise NotAllowed(f"has more than {MAX_URL:,} characters")
    if url.scheme != "https" and not allow_private:
        raise NotAllowed("must begin with https://")
    if url.username or url.password:
        raise NotAllowed("must have no user and password: what is sent is signed")
    if url.fragment:
        raise NotAllowed("must have no fragment, which is never sent")
    return url


def host_of(url: HttpUrl) -> tuple[str, int]:
    """Its host, without brackets, and port."""
    return (url.host or "").strip("[]"), url.port or 443


def check(text: str, resolve: Resolver, *, allow_private: bool) -> str:
    """Whether something may be sent to a URL, as far as can be said now: returns the URL in its one spelling. Raises
    NotAllowed. Arguments are as for `addresses`."""
    url = parse(text, allow_private=allow_private)
    try:
        addresses(*host_of(url), resolve, allow_private=allow_private)
    except (OSError, UnicodeError):
        raise NotAllowed("names a host that cannot be found") from None
    return str(url)
