"""The Lua sources: documented, expanded, and never touching a key they did not declare."""

import re
from importlib.resources import files

import pytest

from reservation.scripts import source

LUA = files("reservation.lua")
OPERATIONS = sorted(
    f.name.removesuffix(".lua") for f in LUA.iterdir() if f.name.endswith(".lua") and not f.name.startswith("_")
)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_guarantees_takes_and_returns(name: str) -> None:
    """Its header names the operation, its keys and what it returns; what writes says what it promises."""
    text = LUA.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    header = text[: text.index("]]")]
    assert header.startswith(f"--[[ {name}: ")
    assert "\nKEYS  " in header
    assert "\nReturns " in header
    assert ("ARGV[" not in source(name)) or "\nARGV  " in header
    writes = re.search(r"call\('(HSET|ZADD|SET|DEL|XADD|HDEL|ZREM|SADD)'", source(name))
    assert not writes or "Guarantee: " in header or "decides nothing" in header or name in ("touch_event", "heartbeat")


@pytest.mark.parametrize("name", OPERATIONS)
def test_keys_come_from_declared_ones(name: str) -> None:
    """No key is written out or put together in a script: Redis Cluster routes by the declared ones."""
    for match in re.finditer(r"redis\.call\('(\w+)'(?:, ([^,)]+))?", source(name)):
        if match[1] != "TIME":
            assert re.fullmatch(r"KEYS\[(\d|i)\]|\w+_key|key|seat\.(key|lock)", match[2]), match[0]
    for names, values in re.findall(r"local ([\w, ]*_key\b[\w, ]*) = (.*)", source(name)):
        declared = [v for n, v in zip(names.split(", "), values.split(", "), strict=True) if n.endswith("_key")]
        assert all(re.fullmatch(r"KEYS\[([\d+* i]+|keys_before)\]", value) for value in declared), (names, values)


@pytest.mark.parametrize("name", OPERATIONS)
def test_sources_are_expanded(name: str) -> None:
    """Includes and codes are replaced; the clock is read once at the most."""
    text = source(name)
    assert "@include" not in text
    assert "CODE." not in text
    assert text.count("redis.call('TIME')") <= 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_sent_with_what_it_calls(name: str) -> None:
    """With all functions that it calls, and none that it does not name: each is made anew whenever it runs."""
    code = re.sub(r"--\[\[.*?\]\]|--[^\n]*", "", source(name), flags=re.DOTALL)
    parts = [part.read_text(encoding="utf-8") for part in LUA.iterdir() if part.name.endswith(".lua")]
    for function in re.findall(r"^local function (\w+)", "\n".join(parts), re.MULTILINE):
        is_there = f"local function {function}(" in code
        assert is_there or not re.search(rf"(?<!\.)\b{function}\(", code), function
        assert not is_there or len(re.findall(rf"\b{function}\b", code)) > 1, function


def test_an_unknown_code_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """A misspelt CODE.NAME fails when the script is loaded, not when a seat is sold."""
    from reservation import scripts

    class _Files:
        def joinpath(self, _: str) -> "_Files":
            return self

        def read_text(self, **_: str) -> str:
            return "return CODE.NO_SUCH_CODE"

    monkeypatch.setattr(scripts, "files", lambda _: _Files())
    with pytest.raises(KeyError, match="NO_SUCH_CODE"):
        source("anything")
