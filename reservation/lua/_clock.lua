-- The server's clock, read once a script (TIME), so that no host's clock decides anything.
-- now_us: microseconds, now: whole milliseconds, both since the epoch.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
