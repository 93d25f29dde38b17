--[[ create_seats: writes one batch of a new event's seats.
Guarantee: none of them can be seen before publish_event. Of a published event, or of one that was
given up, nothing is written: a call that was delayed on its way must not free what has been sold.
KEYS  1 event:{E} hash, 2 event:{E}:abandoned string, 3 event:{E}:seats set,
      4 event:{E}:available zset, then the seats' hashes
ARGV  1 event id, 2 number of the first seat
Returns {OK, seats so far}; {EVENT_ABANDONED, 0} ]]
if redis.call('EXISTS', KEYS[2]) == 1 then return {CODE.EVENT_ABANDONED, 0} end
if redis.call('EXISTS', KEYS[1]) == 1 then return {CODE.OK, redis.call('SCARD', KEYS[3])} end
local event_id, first = ARGV[1], tonumber(ARGV[2])
local members, scored = {}, {}
for i = 5, #KEYS do
  local number = first + i - 5
  local id = event_id .. '-' .. string.format('%d', number)
  redis.call('HSET', KEYS[i], 'id', id, 'eventId', event_id, 'UUID', '', 'status', 'Available')
  members[#members + 1] = id
  scored[#scored + 1] = number
  scored[#scored + 1] = id
end
redis.call('SADD', KEYS[3], unpack(members))
redis.call('ZADD', KEYS[4], unpack(scored))
return {CODE.OK, redis.call('SCARD', KEYS[3])}
