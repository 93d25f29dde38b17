--[[ event_load: what an event has going on. Writes nothing.
KEYS  1 event:{E} hash, 2 event:{E}:holds zset, 3 event:{E}:jobs zset
Returns {1 if the event exists, now ms, holds that are due, holds, open jobs, of them those that may be started} ]]
-- @include clock
-- @include turn
return {redis.call('EXISTS', KEYS[1]), now, redis.call('ZCOUNT', KEYS[2], '-inf', now),
  redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]),
  redis.call('ZCOUNT', KEYS[3], LATER, LATER + now)}
