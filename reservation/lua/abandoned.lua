--[[ abandoned: whether the creation of an event began so long ago that it cannot still be going on.
Writes nothing.
KEYS  1 events zset
ARGV  1 event id, 2 age ms
Returns 1 or 0 ]]
-- @include clock
local began = redis.call('ZSCORE', KEYS[1], ARGV[1])
return began and now - tonumber(began) > tonumber(ARGV[2]) and 1 or 0
