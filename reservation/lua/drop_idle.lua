--[[ drop_idle: forgets an event that the caller found idle.
Guarantee: not if it was touched since the caller looked, nor within the grace, in which an accept
that touched it may still be on its way.
KEYS  1 active-events zset
ARGV  1 event id, 2 grace ms
Returns 1 if it was dropped, else 0 ]]
-- @include clock
local touched = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or now)
if now - touched < tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
