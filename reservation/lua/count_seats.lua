--[[ count_seats: an event, and how many of its seats are free, on hold and reserved. Writes nothing.
A hold that is due counts as free.
KEYS  1 event:{E} hash, 2 event:{E}:available zset, 3 event:{E}:holds zset
Returns {OK, name, total, createdAt ms, free, held, reserved}; {EVENT_UNKNOWN} ]]
-- @include clock
local event = redis.call('HMGET', KEYS[1], 'name', 'totalSeats', 'createdAt')
if not event[1] then return {CODE.EVENT_UNKNOWN} end
local total, due = tonumber(event[2]), redis.call('ZCOUNT', KEYS[3], '-inf', now)
local free, held = redis.call('ZCARD', KEYS[2]) + due, redis.call('ZCARD', KEYS[3]) - due
return {CODE.OK, event[1], total, tonumber(event[3]), free, held, total - free - held}
