--[[ publish_event: makes a new event visible, once all its seats are there.
Guarantee: an event that can be seen is whole. Run again it changes nothing.
KEYS  1 event:{E} hash, 2 event:{E}:abandoned string, 3 event:{E}:seats set
ARGV  1 event id, 2 name, 3 total of seats, then more of its fields, each with its value
Returns {PUBLISHED, createdAt ms}; {code, now ms} with EVENT_ABANDONED, EVENT_INCOMPLETE (seats are
      missing) ]]
-- @include clock
local created = redis.call('HGET', KEYS[1], 'createdAt')
if created then return {CODE.PUBLISHED, tonumber(created)} end
local total = tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[2]) == 1 then return {CODE.EVENT_ABANDONED, now} end
if redis.call('SCARD', KEYS[3]) ~= total then return {CODE.EVENT_INCOMPLETE, now} end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'name', ARGV[2], 'totalSeats', total, 'createdAt', now,
  'version', 0, 'tickets', 0, unpack(ARGV, 4))
return {CODE.PUBLISHED, now}
