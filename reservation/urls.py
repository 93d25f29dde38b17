"""What a Redis URL names: one server, a cluster, or the primary that Sentinels watch over."""

from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.connection import parse_url

#: Host and port.
Address = tuple[str, int]

_FORMS = (
    "must be redis://host:port/0, rediss://host:port/0, unix:///path?db=0, redis+cluster://host:port,host:port or "
    "redis+sentinel://host:port,host:port/service/0"
)
#: Options of a URL that are for the Sentinels rather than for the server.
_FOR_SENTINELS = {"sentinel_username": "username", "sentinel_password": "password"}


class Target(NamedTuple):
    """What a URL names.

    Attributes:
        kind: of what.
        addresses: of the server, of nodes to ask first, or of the Sentinels; none of a socket.
        service: what the Sentinels call the primary.
        database: the logical one; a cluster has 0 only.
        options: for redis-py's connections, without host, port and database.
        sentinel_options: the same for those to the Sentinels, which speak TLS if the server does.
    """

    kind: Literal["server", "cluster", "sentinel"]
    addresses: tuple[Address, ...]
    service: str
    database: int
    options: dict[str, Any]
    sentinel_options: dict[str, Any]

    @property
    def client_options(self) -> dict[str, Any]:
        """The options of a client of redis-py's that makes its connections itself."""
        given = {name: value for name, value in self.options.items() if name != "connection_class"}
        return {**given, "ssl": "connection_class" in self.options}

    @property
    def server(self) -> str:
        """Which server, or servers, whatever the database and however it is spelled."""
        if not self.addresses:
            return str(self.options["path"])
        return ",".join(sorted(f"{host}:{port}" for host, port in self.addresses)) + self.service


def parse(url: str) -> Target:
    """Reads a URL. Raises ValueError."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    named = dict(parse_qsl(parts.query))
    sentinel_options = {option: named.pop(name) for name, option in _FOR_SENTINELS.items() if name in named}
    path = parts.path.strip("/")
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
    database = named.pop("db", "") or ("" if scheme == "unix" else path) or "0"
    if not database.isdigit():
        raise ValueError("must end in the number of a database")
    if scheme == "unix" and parts.path and not kind:
        options = parse_url(f"unix://{parts.netloc}{parts.path}?{urlencode(named)}")  # type: ignore[no-untyped-call]  # redis-py types few
        return Target("server", (), "", int(database), options, {})
    user, _, hosts = parts.netloc.rpartition("@")
    addresses = tuple(_address(host, 26379 if kind == "sentinel" else 6379) for host in hosts.split(","))
    if (
        scheme not in ("redis", "rediss")
        or kind not in ("", "cluster", "sentinel")
        or (service == "") == (kind == "sentinel")
    ):
        raise ValueError(_FORMS)
    if not kind and len(addresses) > 1:
        raise ValueError(f"names several servers; {_FORMS}")
    if kind == "cluster" and database != "0":
        raise ValueError("must not name a database: a cluster has none but 0")
    options = parse_url(f"{scheme}://{user}@h?{urlencode(named)}")  # type: ignore[no-untyped-call]  # redis-py types few
    del options["host"]
    kinds: dict[str, Literal["server", "cluster", "sentinel"]] = {"cluster": "cluster", "sentinel": "sentinel"}
    return Target(kinds.get(kind, "server"), addresses, service, int(database), options, sentinel_options)


def _address(text: str, port: int) -> Address:
    parts = urlsplit(f"//{text}")
    try:
        given = parts.port
    except ValueError:  # its text has what it took for a port, which may be a piece of a password
        raise ValueError("has a port that is no number; in a password, write ? as %3F, # as %23, / as %2F") from None
    if not parts.hostname:
        raise ValueError(_FORMS)
    return unquote(parts.hostname), given or port


def with_database(url: str, number: int) -> str:
    """The logical database `number` of the same server; a database that the URL names is replaced. A cluster's URL is
    as it was."""
    target, parts = parse(url), urlsplit(url)
    if target.kind == "cluster":
        return url
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    # Put together by hand: urlunsplit drops the empty host of unix:///path.
    base = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme == "unix":
        return f"{base}{parts.path}?{urlencode([*query, ('db', number)])}"
    service = f"/{target.service}" if target.service else ""
    return f"{base}{service}/{number}" + (f"?{urlencode(query)}" if query else "")
