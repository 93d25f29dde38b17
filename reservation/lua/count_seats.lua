--[[ count_seats: an event, and how many of its seats are free, on hold, reserved and blocked. Writes nothing.
A hold that is due counts as free.
KEYS  1 event:{E} hash, 2 event:{E}:available zset, 3 event:{E}:holds zset, 4 event:{E}:blocked zset
Returns {OK, free, held, reserved, blocked, name, total, createdAt ms, and nil or: opensAt ms, closesAt ms,
      admitPerMinute, admissionTtl s};
      {EVENT_UNKNOWN} ]]
-- @include clock
local event = redis.call('HMGET', KEYS[1], 'name', 'totalSeats', 'createdAt', 'opensAt', 'closesAt', 'admitPerMinute',
  'admissionTtl')
if not event[1] then return {CODE.EVENT_UNKNOWN} end
local total, due = tonumber(event[2]), redis.call('ZCOUNT', KEYS[3], '-inf', now)
local free, held = redis.call('ZCARD', KEYS[2]) + due, redis.call('ZCARD', KEYS[3]) - due
local blocked = redis.call('ZCARD', KEYS[4])
return {CODE.OK, free, held, total - free - held - blocked, blocked, unpack(event)}
