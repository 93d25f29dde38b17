"""Bodies that nobody should send, each with the answer it gets: what parsers disagree about, what databases, logs and
browsers trip over, and what is merely too much. What is harmless is in it too: it has to be taken as it is.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

EVENTS, HOLD, REFRESH, RELEASE, RESERVE = (
    "/events/create",
    "/seats/hold",
    "/seats/refresh",
    "/seats/release",
    "/seats/reserve",
)
SEAT, USER = "k3v9x2m7qa-1", "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"
EVENT = b'{"name": "Gala", "totalSeats": 10}'
ACTION = json.dumps({"id": SEAT, "UUID": USER}).encode()

MALFORMED, INVALID, UNKNOWN = (400, "malformed-json"), (422, "invalid-request"), (404, "not-found")
TOO_LARGE, NOT_JSON, CREATED = (413, "body-too-large"), (415, "unsupported-media-type"), (201, "")


class Case(NamedTuple):
    """A body.

    Attributes:
        name: what is wrong with it.
        path: where it is sent.
        body: what is sent.
        expected: status, and the problem's slug if it is one.
        headers: beyond `Content-Type: application/json`.
    """

    name: str
    path: str
    body: bytes
    expected: tuple[int, str]
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


def named(name: bytes) -> bytes:
    """An event whose name is written so between its quotes."""
    return b'{"name": "' + name + b'", "totalSeats": 10}'


def sized(number: bytes) -> bytes:
    """An event with so many seats, as they are written."""
    return b'{"name": "Gala", "totalSeats": ' + number + b"}"


def seat(value: object) -> bytes:
    """An action on a seat with this id."""
    return json.dumps({"id": value, "UUID": USER}).encode()


def user(value: object) -> bytes:
    """An action of this user."""
    return json.dumps({"id": SEAT, "UUID": value}).encode()


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _not_whole()
    yield from _not_text()
    yield from _numbers()
    yield from _structures()
    yield from _names()
    yield from _ids()
    yield from _headers()


def _not_whole() -> Iterator[Case]:
    for end in range(len(EVENT)):
        yield Case(f"cut after {end} bytes", EVENTS, EVENT[:end], MALFORMED)
    for end in range(0, len(ACTION), 6):
        yield Case(f"cut after {end} bytes", HOLD, ACTION[:end], MALFORMED)
    for tail in (b"x", b"{}", b",", b"\0", b"]", b"}", b"// c", b"/**/", b"\xff", b";", EVENT):
        yield Case(f"followed by {tail[:8]!r}", EVENTS, EVENT + tail, MALFORMED)
    for text in (
        b"'name'",
        b"{'name': 'Gala', 'totalSeats': 10}",
        b"{name: 'Gala', totalSeats: 10}",
        b'{"name": "Gala", "totalSeats": 10,}',
        b'{"name": "Gala",, "totalSeats": 10}',
        b'{"name" "Gala"}',
        b'{"name": "Gala" "totalSeats": 10}',
        b"{/* c */}",
        b"undefined",
        b"nul",
        b"True",
        b"None",
        b"<event/>",
        b"name=Gala&totalSeats=10",
        b"--x\r\nContent-Disposition: form-data; name=name\r\n\r\nGala\r\n--x--",
        b")]}',\n" + EVENT,
        b"\x1f\x8b\x08\x00" + EVENT,
        b"!!python/object/apply:os.system ['id']",
        b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c\x04Gala\x94.",
        b"\x82\xa4name\xa4Gala",
    ):
        yield Case(f"not JSON: {text[:16]!r}", EVENTS, text, MALFORMED)


def _not_text() -> Iterator[Case]:
    for name, text in {
        "a lone continuation": b"\x80",
        "overlong, two bytes": b"\xc0\xaf",
        "overlong, three bytes": b"\xe0\x80\xaf",
        "overlong, four bytes": b"\xf0\x80\x80\xaf",
        "overlong NUL": b"\xc0\x80",
        "a high surrogate": b"\xed\xa0\x80",
        "a low surrogate": b"\xed\xbf\xbf",
        "a pair of surrogates (CESU-8)": b"\xed\xa0\xbd\xed\xb8\x80",
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "five bytes": b"\xf8\x88\x80\x80\x80",
        "0xFE": b"\xfe",
        "0xFF": b"\xff",
        "cut after one byte of two": b"\xc3",
        "cut after two bytes of three": b"\xe2\x82",
        "cut after three bytes of four": b"\xf0\x9f\x98",
        "Latin-1": "Café".encode("latin-1"),
        "Windows-1252": b"\x93Gala\x94",
        "Shift JIS": "公演".encode("shift_jis"),
    }.items():
        yield Case(f"UTF-8: {name}", EVENTS, named(text), MALFORMED)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig", "utf-7", "cp037"):
        body = b"+AHsAIg-" if encoding == "utf-7" else EVENT.decode().encode(encoding)
        yield Case(f"in {encoding}", EVENTS, body, MALFORMED)
    for escape in (
        rb"\ud800",
        rb"\udc00",
        rb"\ud800\ud800",
        rb"\udfff\ud800",
        rb"\ud83dx",
        rb"\ud83d\n",
        rb"\u12",
        rb"\u",
        rb"\uZZZZ",
        rb"\u+123",
        rb"\x41",
        rb"\0",
        rb"\a",
        rb"\'",
        rb"\U0001F600",
        rb"\u{1F600}",
        b"\\",
    ):
        yield Case(f"escape {escape.decode()}", EVENTS, named(escape), MALFORMED)
    for code in range(0x20):
        yield Case(f"U+{code:04X} as it is", EVENTS, named(b"a" + bytes([code]) + b"b"), MALFORMED)
    for code in [*range(0x20), *range(0x7F, 0xA0, 4), 0x2028, 0x2029, 0x202A, 0x202E, 0x2066, 0x2069]:
        yield Case(f"U+{code:04X} escaped", EVENTS, named(b"a\\u%04xb" % code), INVALID)


def _numbers() -> Iterator[Case]:
    for number in (
        b"NaN",
        b"-NaN",
        b"nan",
        b"Infinity",
        b"-Infinity",
        b"inf",
        b"0x10",
        b"0b11",
        b"010",
        b"+10",
        b".5",
        b"5.",
        b"1_000",
        b"10e",
        b"1e",
        b"1.e1",
        b"--10",
        b"10n",
        b"1,000",
        "１０".encode(),
        "٤٢".encode(),
        b"1" + b"0" * 4_999,
        b"-" + b"9" * 5_000,
    ):
        yield Case(f"number {number[:12].decode()}", EVENTS, sized(number), MALFORMED)
    for number in (
        b"0",
        b"-0",
        b"-1",
        b"9",
        b"10001",
        b"-10",
        b"32768",
        b"65546",
        b"2147483648",
        b"4294967306",
        b"-2147483649",
        b"9007199254740993",
        b"9223372036854775808",
        b"18446744073709551626",
        b"340282366920938463463374607431768211466",
        b"1" + b"0" * 300,
        b"10.0",
        b"10.5",
        b"1e1",
        b"1E+1",
        b"100e-1",
        b"1e308",
        b"5e-324",
        b"-0.0",
        b'"10"',
        b'"0x20"',
        b'"1e1"',
        b'" 10"',
        '"１０"'.encode(),
        b"true",
        b"false",
        b"null",
        b"[]",
        b"[10]",
        b"{}",
        b'{"$gt": 0}',
    ):
        yield Case(f"number {number[:20].decode()}", EVENTS, sized(number), INVALID)
    for number in (b"1e309", b"-1e999"):
        yield Case(f"number {number.decode()}", EVENTS, sized(number), INVALID)


def _structures() -> Iterator[Case]:
    for text in (b"null", b"true", b"1", b'"name"', b"[]", b"[" + EVENT + b"]", b"{}", b'""', b"[[], {}]", b"0.1"):
        yield Case(f"top {text[:8]!r}", EVENTS, text, INVALID)
        yield Case(f"top {text[:8]!r}", RESERVE, text, INVALID)
    for depth in (250, 1_000, 8_000):
        yield Case(f"{depth} arrays", EVENTS, b"[" * depth + b"]" * depth, MALFORMED)
        yield Case(f"{depth} arrays for a name", EVENTS, b'{"name": ' + b"[" * depth + b"]" * depth + b"}", MALFORMED)
    yield Case("16,000 open arrays", EVENTS, b"[" * 16_000, MALFORMED)
    yield Case("2,000 objects", EVENTS, b'{"a":' * 2_000 + b"1" + b"}" * 2_000, MALFORMED)
    yield Case("50 arrays for a name", EVENTS, b'{"name": ' + b"[" * 50 + b"]" * 50 + b', "totalSeats": 10}', INVALID)
    for body, path in (
        (b'{"name": "Gala", "name": "Gala", "totalSeats": 10}', EVENTS),
        (b'{"name": "Gala", "totalSeats": 10, "totalSeats": 10000}', EVENTS),
        (b'{"name": "Gala", "n\\u0061me": "Other", "totalSeats": 10}', EVENTS),
        (b'{"name": "Gala", "totalSeats": 10, "": 1, "": 2}', EVENTS),
        (b'{"name": {"a": 1, "a": 2}, "totalSeats": 10}', EVENTS),
        (b'{"id": "k3v9x2m7qa-1", ' + ACTION[1:], HOLD),
        (ACTION[:-1] + b', "UUID": "ffffffff-ffff-4fff-bfff-ffffffffffff"}', RESERVE),
        (ACTION[:-1] + b', "UUID": null}', RELEASE),
    ):
        yield Case(f"twice: {body[-40:]!r}", path, body, MALFORMED)
    for member in (
        "id", "createdAt", "status", "Name", "NAME", "total_seats", "totalseats", "name ", "", "__proto__",
        "constructor", "prototype", "__class__", "$where", "name[]", "name.first", "UUID", "admin", "a" * 10_000,
    ):  # fmt: skip
        more = json.dumps({"name": "Gala", "totalSeats": 10, member: {"admin": True}}).encode()
        yield Case(f"member {member[:20]!r}", EVENTS, more, INVALID)
    for member in ("status", "user", "uuid", "userUUID", "expiresAt", "eventId", "force", "__proto__", "ID"):
        more = json.dumps({"id": SEAT, "UUID": USER, member: "Reserved"}).encode()
        yield Case(f"member {member!r}", REFRESH, more, INVALID)
    many = json.dumps({"name": "Gala", "totalSeats": 10, **{f"m{n}": 0 for n in range(1_000)}}).encode()
    yield Case("a thousand members", EVENTS, many, INVALID)
    yield Case("16,384 bytes", EVENTS, EVENT.ljust(16_384), CREATED)
    yield Case("16,385 bytes", EVENTS, EVENT.ljust(16_385), TOO_LARGE)
    yield Case("60,000 bytes", EVENTS, EVENT.ljust(60_000), TOO_LARGE)
    yield Case("60,000 bytes of nothing", HOLD, b" " * 60_000, TOO_LARGE)


def _names() -> Iterator[Case]:
    for value in (
        None,
        7,
        7.5,
        True,
        [],
        ["Gala"],
        {},
        {"$ne": None},
        "",
        " ",
        "\u3000",
        "\u200b",
        "x" * 201,
        "🎭" * 201,
    ):
        yield Case(f"name {value!r:.20}", EVENTS, json.dumps({"name": value, "totalSeats": 10}).encode(), INVALID)
    for value in (
        "x" * 200,
        "🎭" * 200,
        "Robert'); DROP TABLE seats;--",
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>",
        "${jndi:ldap://127.0.0.1/a}",
        "%s%n%x %00 %0d%0aSet-Cookie:a=b",
        "../../../etc/passwd",
        "$(id) `id` | id; id && id",
        "=1+1",
        "\\u0000 \\r\\n",
        "*1\\r\\n$8\\r\\nFLUSHALL\\r\\n",
        "event:{x}:available",
        "return redis.call('FLUSHALL')",
        "العربية עברית 日本語",
        "👩‍👩‍👧‍👦 e\u0301 \ufb01",
        "Z̷̡͔̈́a̴͙̐l̸̰̏g̵̱̈o̷",
        "a\uffff\U0010ffff",
        "null",
        "NaN",
        "undefined",
        "true",
        "http://127.0.0.1:6379/",
        "file:///etc/passwd",
    ):
        yield Case(f"name {value[:20]!r}", EVENTS, json.dumps({"name": value, "totalSeats": 10}).encode(), CREATED)


def _ids() -> Iterator[Case]:
    for value in (
        "", " ", "-", "*", "?", "k3v9x2m7qa", "k3v9x2m7qa-", "-1", "k3v9x2m7qa-0", "k3v9x2m7qa-01", "k3v9x2m7qa-00",
        "k3v9x2m7qa-10001", "k3v9x2m7qa-99999999999999999999", "k3v9x2m7qa--1", "k3v9x2m7qa-1.0", "k3v9x2m7qa-1e1",
        "k3v9x2m7qa-+1", "k3v9x2m7qa-0x1", "k3v9x2m7qa-1 ", " k3v9x2m7qa-1", "k3v9x2m7qa-1\n", "k3v9x2m7qa-1\0",
        "K3V9X2M7QA-1", "k3v9x2m7qa-*", "*-1", "k3v9x2m7qa}-1", "{k3v9x2m7qa}-1", "k3v9x2m7qa}:seat:{k3v9x2m7qa-1",
        "event:{k3v9x2m7qa}", "k3v9x2m7qa-1\r\nDEL x", "k3v9x2m7qa-١", "k3v9x2m7qа-1", "ｋ3v9x2m7qa-1", "k3v9x2m7qa–1",
        "../seats/k3v9x2m7qa-1", "k3v9x2m7qa-1/..", "k3v9x2m7qa-1?x", "k3v9x2m7qa-1#x", "%6b3v9x2m7qa-1", "k" * 10_000,
        None, 1, 1.5, True, [], ["k3v9x2m7qa-1"], {}, {"$ne": ""}, [[SEAT]],
    ):  # fmt: skip
        yield Case(f"seat {value!r:.30}", HOLD, seat(value), INVALID)
    for value in (
        "", " ", "me", "*", "0", "null", USER[:-1], USER + "0", USER.replace("-", ""), "{" + USER + "}",
        f"urn:uuid:{USER}", f" {USER}", f"{USER}\n", f"{USER}\0", USER.replace("-", "_"), USER.replace("0", "g"),
        "-" * 36, "0" * 36, "٠b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70", USER.replace("-", "‐"), f"{USER},{USER}",
        "a" * 9_000, None, 0, 1e10, False, [], [USER], {}, {"$ne": USER},
    ):  # fmt: skip
        yield Case(f"user {value!r:.30}", RESERVE, user(value), INVALID)
    for path in (HOLD, REFRESH, RELEASE, RESERVE):
        yield Case("a seat that is not there", path, ACTION, UNKNOWN)
        yield Case("a user in capitals", path, user(USER.upper()), UNKNOWN)
        yield Case("the nil UUID", path, user("00000000-0000-0000-0000-000000000000"), UNKNOWN)
        yield Case("escaped throughout", path, ACTION.replace(b"k3v9", rb"\u006b\u0033\u0076\u0039"), UNKNOWN)


def _headers() -> Iterator[Case]:
    for value in (
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
        "application/problem+json", "application/vnd.api+json", "application/json-patch+json", "text/json",
        "application/jsonp", "application/json, text/plain", "application/json; charset=utf-16",
        "application/json; charset=latin-1", 'application/json; charset="utf-7"', "application/*", "*/*", ";", "json",
    ):  # fmt: skip
        yield Case(f"as {value!r}", EVENTS, EVENT, NOT_JSON, {"Content-Type": value})
    yield Case(
        "as JSON with 7,700 semicolons",
        EVENTS,
        EVENT,
        NOT_JSON,
        {"Content-Type": 'application/json; a="1' + ";" * 7_700},
    )
    for value in ("gzip", "deflate", "br", "identity, gzip", "x"):
        yield Case(f"encoded as {value}", EVENTS, EVENT, NOT_JSON, {"Content-Encoding": value})
    for value in ("application/json", "Application/JSON", 'application/json; charset="UTF-8"', "application/json;"):
        yield Case(f"as {value!r}", EVENTS, EVENT, CREATED, {"Content-Type": value})
