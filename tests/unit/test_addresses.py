"""Where a request comes from, by whose word."""

from ipaddress import ip_network

import falcon
import pytest
from falcon import testing

from reservation_http.addresses import Addresses

PROXIES = ("10.0.0.0/8", "fd00::/8")


def found(peer: str, forwarded: str | None = None, trusted: tuple[str, ...] = PROXIES) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    env = testing.create_environ(remote_addr=peer, headers=headers)
    return Addresses([ip_network(network) for network in trusted]).of(falcon.Request(env))


def test_without_proxies_nobody_is_believed() -> None:
    """It is who connects."""
    assert found("203.0.113.9", "198.51.100.1", trusted=()) == "203.0.113.9"


def test_who_comes_directly_is_not_believed() -> None:
    """Only a proxy's word counts."""
    assert found("203.0.113.9", "198.51.100.1") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, "10.1.1.1"),
        ("", "10.1.1.1"),
        ("198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("unknown", "10.1.1.1"),
        ("6.6.6.6, unknown", "10.1.1.1"),
        ("6.6.6.6, ' OR 1=1 --, 10.2.2.2", "10.2.2.2"),
        ("10.3.3.3", "10.3.3.3"),
        (",,,", "10.1.1.1"),
        ("1.2.3.4" * 500, "10.1.1.1"),
    ],
)
def test_the_nearest_that_is_no_proxy(forwarded: str | None, address: str) -> None:
    """What stands further left was sent by the client, who may say what they like."""
    assert found("10.1.1.1", forwarded) == address


def test_a_proxy_by_ipv6() -> None:
    """And a client who has a /64 is one client, however many addresses they use."""
    assert found("fd00::1", "2001:db8:9:9:aaaa::1") == found("fd00::1", "2001:db8:9:9:bbbb::2") == "2001:db8:9:9::/64"


@pytest.mark.parametrize("peer", ["", "localhost", "/run/api.sock"])
def test_a_peer_without_an_address(peer: str) -> None:
    """As it is called."""
    assert found(peer or "x", "198.51.100.1") == (peer or "x")
