--[[ create_seats: writes one batch of a new event's seats.
Guarantee: none of them can be seen before publish_event. Run again it changes nothing.
KEYS  1 event:{E}:seats set, 2 event:{E}:available zset, then the seats' hashes
ARGV  1 event id, 2 number of the first seat
Returns how many seats the event has so far ]]
local event_id, first = ARGV[1], tonumber(ARGV[2])
local members, scored = {}, {}
for i = 3, #KEYS do
  local number = first + i - 3
  local id = event_id .. '-' .. string.format('%d', number)
  redis.call('HSET', KEYS[i], 'id', id, 'eventId', event_id, 'UUID', '', 'status', 'Available')
  members[#members + 1] = id
  scored[#scored + 1] = number
  scored[#scored + 1] = id
end
redis.call('SADD', KEYS[1], unpack(members))
redis.call('ZADD', KEYS[2], unpack(scored))
return redis.call('SCARD', KEYS[1])
