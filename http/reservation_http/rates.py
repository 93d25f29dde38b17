"""Rate limits: how often a user, and an address, may ask.

The counting is that of `limits`, its sliding window counter on Redis; its scripts are sent by us, in the rounds of
the server's loop, on which nothing may wait (docs/decisions/0012-rate-limits.md).
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import limits
import redis
import structlog
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.commands.core import Script

from reservation.clients import REQUEST_TIMEOUT_S, Command, Sent, connect, script_call
from reservation.guard import Guard
from reservation.rounds import RoundPipelining
from reservation.settings import Settings
from reservation_http.errors import RateLimited

log = structlog.get_logger()

#: How often it is logged that nobody is limited, seconds.
_SAY_S = 10.0

#: The script of `limits` for the windows of several requests, as ARGV has them: of each request how many windows,
#: then the quota and the seconds of each; KEYS are the two of each window. Returns for each request the number of its
#: first window that is full, from which on nothing is counted any more; 0 if there is none. One call for all that ask
#: at the same time: calls of their own cost a tenth of what the rest of a hold does.
_ACQUIRE_EACH = """
local function acquire(KEYS, ARGV)
{acquire}
end
local full, key, arg = {{}}, 1, 1
while arg <= #ARGV do
  local windows, first = tonumber(ARGV[arg]), 0
  arg = arg + 1
  for window = 1, windows do
    if first == 0 and not acquire({{KEYS[key], KEYS[key + 1]}}, {{ARGV[arg], ARGV[arg + 1], 1}}) then first = window end
    key, arg = key + 2, arg + 2
  end
  full[#full + 1] = first
end
return full
"""


class _Hits:
    """What was sent for several requests in one call of the script."""

    def __init__(self, sent: Sent, requests: int) -> None:
        self._sent, self._requests = sent, requests

    def replies(self) -> list[Any]:
        """Waits for them: one for each request. Raises redis.RedisError."""
        (full,) = self._sent.replies()
        return [full] * self._requests if isinstance(full, Exception) else list(full)


class RateLimits:
    """Counts requests, and refuses those that are too many. Lets all through while they cannot be counted: who
    wants to buy a seat should not be turned away because of it.

    Arguments:
        settings: where to count, and the limits.
        guard: of the server where the counts are; while it is open, nothing is sent.

    Attributes:
        uncounted: requests that were let through without being counted.
    """

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self.enabled = settings.counts_requests
        self.uncounted = 0
        self._guard = guard
        self._said_at = -math.inf
        self._items = {
            "user": limits.parse(settings.rate_limit_user),
            "address": limits.parse(settings.rate_limit_address),
            "events": limits.parse(settings.rate_limit_events),
            "jobs": limits.parse(settings.rate_limit_jobs),
        }
        url = settings.limits_url
        client = connect(url, connections=settings.api_threads + 1, timeout_s=REQUEST_TIMEOUT_S)
        self._storage = RedisStorage(url, connection_pool=client.connection_pool, key_prefix="limits")
        self._strategy = SlidingWindowCounterRateLimiter(self._storage)
        self._bounds = {name: (item.amount, item.get_expiry()) for name, item in self._items.items()}
        self._windows = {name: self._keys_of(name, item) for name, item in self._items.items()}
        acquire, look = RedisStorage.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode(), self._storage.lua_sliding_window
        self._acquire = client.register_script(_ACQUIRE_EACH.format(acquire=acquire))
        self._client = client
        self._pipelining = RoundPipelining(self._send)
        looking = RoundPipelining(lambda commands: Sent(client, commands, (look,)))
        self._storage.lua_sliding_window = _InRounds(look, looking)  # type: ignore[assignment]  # called alike

    @property
    def counting(self) -> bool:
        """Whether requests can be counted at the moment."""
        return self._guard.closed

    def hit(self, rate: str, address: str, user: str) -> None:
        """Counts a request. Raises RateLimited.

        Arguments:
            rate: its kind: `user` for most, `events` to create one, `jobs` to read one.
            address: where it comes from; counts in any case.
            user: who sends it; empty if nobody knows. What has a limit of its own counts for the address then.
        """
        if not self.enabled:
            return None
        asked = [("address", address)]
        if user or rate != "user":
            asked.append((rate, user or address))
        if not self._guard.closed:
            return self._let_through("the server does not answer")
        try:
            full = self._pipelining.execute(self._command(asked))
        except redis.RedisError as error:
            return self._let_through(str(error))
        if full:
            raise self._refusal(*asked[full - 1])
        return None

    def _keys_of(self, name: str, item: limits.RateLimitItem) -> tuple[str, str]:
        """The keys of a limit's windows, before and current, with a place for who is counted."""
        key, storage = item.key_for(name, "%s"), self._storage
        before, current = storage._previous_window_key(key), storage._current_window_key(key)  # noqa: SLF001 - as `hit`
        return storage.prefixed_key(before), storage.prefixed_key(current)

    def _command(self, asked: Sequence[tuple[str, str]]) -> Command:
        """What the script needs to know of a request: how many windows, their keys, and their bounds."""
        names: list[str] = []
        bounds: list[int] = []
        for name, who in asked:
            before, current = self._windows[name]
            names += before % who, current % who
            bounds += self._bounds[name]
        return (len(asked), *names, *bounds)

    def _send(self, asked: Sequence[Command]) -> _Hits:
        """Sends what `SlidingWindowCounterRateLimiter.hit` would for each, and wait for by itself."""
        names: list[Any] = []
        arguments: list[Any] = []
        for windows, *rest in asked:
            bounds_at = 2 * int(windows)
            names += rest[:bounds_at]
            arguments += windows, *rest[bounds_at:]
        return _Hits(Sent(self._client, [script_call(self._acquire, names, arguments)], (self._acquire,)), len(asked))

    def _refusal(self, name: str, who: str) -> RateLimited:
        item = self._items[name]
        try:
            wait_s = self._strategy.get_window_stats(item, name, who).reset_time - time.time()
        except redis.RedisError:
            wait_s = 1.0
        return RateLimited(name, item.amount, item.get_expiry(), max(1, math.ceil(wait_s)))

    def _let_through(self, why: str) -> None:
        self.uncounted += 1
        if time.monotonic() - self._said_at > _SAY_S:
            self._said_at = time.monotonic()
            log.warning("requests not counted", error=why, uncounted=self.uncounted)


class _InRounds:
    """A script that is called as redis-py's are, and sent with what others ask for."""

    def __init__(self, script: Script, pipelining: RoundPipelining) -> None:
        self._script = script
        self._pipelining = pipelining

    def __call__(self, keys: Sequence[str], args: Sequence[int]) -> object:
        return self._pipelining.execute(script_call(self._script, keys, args))
