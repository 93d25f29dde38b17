--[[ index_event: claims the id of a new event.
Guarantee: an id is given once, and none to an event whose sale would have ended.
KEYS  1 events zset
ARGV  1 event id; 2 when its sale ends, ms, or 0
Returns 1; 0 if the id is taken; -1 if the sale would have ended ]]
-- @include clock
local closes = tonumber(ARGV[2])
if closes > 0 and now >= closes then return -1 end
return redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
