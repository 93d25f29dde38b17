"""What a Redis URL names."""

import pytest

from reservation.settings import Settings
from reservation.urls import parse, with_database


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]  # pydantic-settings takes more than mypy sees


@pytest.mark.parametrize(
    ("url", "kind", "addresses", "service", "database", "options"),
    [
        ("redis://h", "server", [("h", 6379)], "", 0, {}),
        ("redis://u:p%40s@h:1/3", "server", [("h", 1)], "", 3, {"username": "u", "password": "p@s"}),
        ("redis://[::1]:7000/0", "server", [("::1", 7000)], "", 0, {}),
        ("unix:///run/redis.sock?db=2", "server", [], "", 2, {"path": "/run/redis.sock"}),
        ("redis+cluster://:p@a:1,b", "cluster", [("a", 1), ("b", 6379)], "", 0, {"password": "p"}),
        ("redis+sentinel://a,b:1/seats", "sentinel", [("a", 26379), ("b", 1)], "seats", 0, {}),
        ("redis+sentinel://:p@a/seats/4", "sentinel", [("a", 26379)], "seats", 4, {"password": "p"}),
    ],
)
def test_a_url_is_read(
    url: str, kind: str, addresses: list[tuple[str, int]], service: str, database: int, options: dict[str, str]
) -> None:
    """Each kind, with what it may leave out."""
    target = parse(url)
    assert (target.kind, list(target.addresses), target.service, target.database) == (
        kind,
        addresses,
        service,
        database,
    )
    assert {name: value for name, value in target.options.items() if name != "connection_class"} == options


def test_tls_is_for_all_kinds() -> None:
    """By the scheme, as ever."""
    for url in ("rediss://h", "rediss+cluster://h", "rediss+sentinel://h/seats"):
        assert parse(url).options["connection_class"].__name__ == "SSLConnection"


def test_the_sentinels_have_a_password_of_their_own() -> None:
    """It is none of the server's."""
    target = parse("redis+sentinel://:p@h/seats?sentinel_password=q&sentinel_username=u")
    assert target.options == {"password": "p"}
    assert target.sentinel_options == {"password": "q", "username": "u"}


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("redis://h:1", "redis://h:1/5"),
        ("redis://:p@h/3?protocol=2", "redis://:p@h/5?protocol=2"),
        ("unix:///s?db=1", "unix:///s?db=5"),
        ("redis+sentinel://h/seats/1", "redis+sentinel://h/seats/5"),
        ("redis+cluster://h", "redis+cluster://h"),
    ],
)
def test_another_database_of_the_same_server(url: str, other: str) -> None:
    """A cluster has none."""
    assert with_database(url, 5) == other


def test_queue_and_counts_are_beside_the_state() -> None:
    """In the next two databases; in a cluster there is one."""
    watched = settings(redis_url="redis+sentinel://h/seats")
    assert watched.queue_url == "redis+sentinel://h/seats/1"
    assert watched.limits_url == "redis+sentinel://h/seats/2"
    spread = settings(redis_url="redis+cluster://h")
    assert {spread.state_url, spread.queue_url, spread.limits_url} == {"redis+cluster://h"}
    apart = settings(redis_url="redis+cluster://h", broker_url="redis://q/0")
    assert (apart.queue_url, apart.limits_url) == ("redis://q/0", "redis://q/1")
