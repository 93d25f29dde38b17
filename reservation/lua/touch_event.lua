--[[ touch_event: notes that an event is about to have an open job.
KEYS  1 active-events zset
ARGV  1 event id
Returns now ms ]]
-- @include clock
redis.call('ZADD', KEYS[1], now, ARGV[1])
return now
