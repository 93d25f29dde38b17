"""Rate limits: how often a user, and an address, may ask.

The counting is that of `limits`, its sliding window counter on Redis; its scripts are sent by us, in the rounds of
the server's loop, on which nothing may wait (docs/decisions/0012-rate-limits.md).
"""

import math
import time
from collections.abc import Sequence

import limits
import redis
import structlog
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from reservation import metrics, urls
from reservation.clients import REQUEST_TIMEOUT_S, Command, Script, script_call
from reservation.connections import connect
from reservation.guard import Guard
from reservation.rounds import RoundPipelining
from reservation.settings import Settings
from reservation_http.errors import RateLimited

log = structlog.get_logger()

#: How often it is logged that nobody is limited, seconds.
_SAY_S = 10.0

#: The script of `limits` for several windows in one call: the number of the first that is full, where nothing is
#: counted any more; 0 if there is none.
_ACQUIRE_EACH = """
local function acquire(KEYS, ARGV)
{acquire}
end
for i = 1, #KEYS / 2 do
  if not acquire({{KEYS[2 * i - 1], KEYS[2 * i]}}, {{ARGV[2 * i - 1], ARGV[2 * i], 1}}) then return i end
end
return 0
"""


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
        servers = connect(url, connections=settings.api_threads + 1, timeout_s=REQUEST_TIMEOUT_S)
        # In a cluster, the counts of an address and of a user are in different slots.
        self._together = urls.parse(url).kind != "cluster"
        # Nothing is sent to what its URL says: all it sends is what is replaced below.
        self._storage = RedisStorage("redis://", key_prefix="limits")
        self._strategy = SlidingWindowCounterRateLimiter(self._storage)
        self._bounds = {name: (item.amount, item.get_expiry()) for name, item in self._items.items()}
        self._windows = {name: self._keys_of(name, item) for name, item in self._items.items()}
        acquire, look = (
            script.decode()
            for script in (RedisStorage.SCRIPT_ACQUIRE_SLIDING_WINDOW, RedisStorage.SCRIPT_SLIDING_WINDOW)
        )
        self._acquire = servers.register_script(_ACQUIRE_EACH.format(acquire=acquire))
        self._pipelining = RoundPipelining(metrics.timed("limits", servers.begin))
        self._storage.lua_sliding_window = _InRounds(servers.register_script(look), self._pipelining)  # type: ignore[assignment]  # called alike

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
        calls = [asked] if self._together else [[one] for one in asked]
        replies = self._pipelining.execute_all([self._command(call) for call in calls])
        uncounted = ""
        for call, full in zip(calls, replies, strict=True):
            if isinstance(full, redis.RedisError):
                uncounted = str(full)
            elif full:
                raise self._refusal(*call[full - 1])
        return self._let_through(uncounted) if uncounted else None

    def _keys_of(self, name: str, item: limits.RateLimitItem) -> tuple[str, str]:
        """The keys of a limit's windows, before and current, with a place for who is counted."""
        key, storage = item.key_for(name, "%s"), self._storage
        before, current = storage._previous_window_key(key), storage._current_window_key(key)  # noqa: SLF001 - as `hit`
        return storage.prefixed_key(before), storage.prefixed_key(current)

    def _command(self, asked: Sequence[tuple[str, str]]) -> Command:
        """What `SlidingWindowCounterRateLimiter.hit` sends for each, which would wait for the reply by itself."""
        names: list[str] = []
        bounds: list[int] = []
        for name, who in asked:
            before, current = self._windows[name]
            names += before % who, current % who
            bounds += self._bounds[name]
        return script_call(self._acquire, names, bounds)

    def _refusal(self, name: str, who: str) -> RateLimited:
        item = self._items[name]
        try:
            wait_s = self._strategy.get_window_stats(item, name, who).reset_time - time.time()
        except redis.RedisError:
            wait_s = 1.0
        return RateLimited(name, item.amount, item.get_expiry(), max(1, math.ceil(wait_s)))

    def _let_through(self, why: str) -> None:
        self.uncounted += 1
        metrics.UNCOUNTED.inc()
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
