--[[ event_report: what an event has going on, for people who watch. Writes nothing.
KEYS  1 event:{E} hash, 2 event:{E}:holds zset, 3 event:{E}:jobs zset
Returns {now ms, holds, of them those that are due, open jobs, of them those whose time has not come, jobs that have
      ended, id of the oldest open job whose time has come or ''} ]]
-- @include clock
-- @include turn
local open, later = redis.call('ZCARD', KEYS[3]), redis.call('ZCOUNT', KEYS[3], LATER, '+inf')
local tickets = tonumber(redis.call('HGET', KEYS[1], 'tickets') or 0)
local vip = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(0', 'WITHSCORES', 'LIMIT', 0, 1)
local other = redis.call('ZRANGEBYSCORE', KEYS[3], 0, '(1e15', 'WITHSCORES', 'LIMIT', 0, 1)
local oldest = other[1] or ''
if vip[1] and (not other[1] or vip[2] - VIP < tonumber(other[2])) then oldest = vip[1] end
return {now, redis.call('ZCARD', KEYS[2]), redis.call('ZCOUNT', KEYS[2], '-inf', now), open, later,
  tickets - (open - later), oldest}
