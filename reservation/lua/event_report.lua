--[[ event_report: what an event has going on, for people who watch. Writes nothing.
KEYS  1 event:{E} hash, 2 event:{E}:holds zset, 3 event:{E}:jobs zset
Returns {now ms, holds, of them those that are due, open jobs, jobs that have ended, id of the oldest open job or ''} ]]
-- @include clock
local open = redis.call('ZCARD', KEYS[3])
local tickets = tonumber(redis.call('HGET', KEYS[1], 'tickets') or 0)
return {now, redis.call('ZCARD', KEYS[2]), redis.call('ZCOUNT', KEYS[2], '-inf', now), open, tickets - open,
  redis.call('ZRANGE', KEYS[3], 0, 0)[1] or ''}
