"""Which URLs and addresses may be asked."""

import pytest

from reservation.outside import MAX_URL, NotAllowed, check, is_public, parse


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1"),  # noqa: S104 - binds nothing
        *("172.31.255.255", "192.0.0.1", "192.0.2.7", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255"),
        *("198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1"),
        *("2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0"),
        *("fec0::1", "ff02::1", "5f00::1"),
    ],
)
def test_no_public_address(address: str) -> None:
    """Private, loopback, link-local, shared, multicast, reserved, of examples; and IPv4 written as IPv6."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1"]
)
def test_a_public_address(address: str) -> None:
    """What is on the internet."""
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tickets.example", "no URL"),
        ("ftp://tickets.example/", "no URL"),
        ("file:///etc/passwd", "no URL"),
        ("gopher://tickets.example/", "no URL"),
        ("https://", "no URL"),
        ("https://tickets.example:99999/", "no URL"),
        ("http://tickets.example/", "https://"),
        ("https://user@tickets.example/", "user"),
        ("https://:word@tickets.example/", "user"),
        ("https://tickets.example/#here", "fragment"),
        ("https://tickets.example/" + "x" * MAX_URL, "characters"),
    ],
)
def test_a_url_that_may_not_be(url: str, says: str) -> None:
    """And why not."""
    with pytest.raises(NotAllowed, match=says):
        parse(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f.0.0.1/",
            "https://2130706433/",
            "https://017700000001/",
        ),
        *("https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/"),
        *("https://①②⑦.0.0.1/", "https://localhost/", "https://LOCALHOST./", "https://169.254.169.254/latest"),
    ],
)
def test_an_address_however_it_is_written(url: str) -> None:
    """What the system makes of it counts, and is checked."""
    with pytest.raises(NotAllowed):
        check(url, _system, allow_private=False)


def _system(host: str, port: int) -> list[str]:
    """Addresses by themselves, and what every system knows."""
    return ["127.0.0.1"] if host.rstrip(".") == "localhost" else [host]


def test_one_private_address_among_others_is_enough() -> None:
    """Nobody can say which of them would be asked."""
    with pytest.raises(NotAllowed, match="not public"):
        check("https://tickets.example/", lambda *_: ["93.184.215.14", "10.0.0.1"], allow_private=False)


def test_a_host_that_is_not_there() -> None:
    """Is said at once: it is a mistake, mostly."""

    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    def empty(host: str, port: int) -> list[str]:
        return []

    for resolve in (nowhere, empty):
        with pytest.raises(NotAllowed, match="cannot be found"):
            check("https://tickets.example/", resolve, allow_private=False)


def test_what_may_be() -> None:
    """Of whatever port, in its one spelling; in development, without TLS and here."""
    public = ["93.184.215.14"]
    assert check("https://Tickets.EXAMPLE:8443", lambda *_: public, allow_private=False) == (
        "https://tickets.example:8443/"
    )
    assert check("https://büro.example/a?b=c", lambda *_: public, allow_private=False) == (
        "https://xn--bro-hoa.example/a?b=c"
    )
    assert check("http://127.0.0.1:80/x", lambda *_: ["127.0.0.1"], allow_private=True) == "http://127.0.0.1/x"
