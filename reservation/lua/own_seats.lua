--[[ own_seats: what a user has of an event, on hold and reserved, at one moment. Writes nothing.
A hold that is due is none. When holds end, and what reservations are called, is known from the seats' own hashes only,
which have to be named: of a seat that was not, only its id is said, and the caller asks again with all of them.
KEYS  1 event:{E} hash, 2 event:{E}:holder:<uuid> zset, 3 event:{E}:buyer:<uuid> zset, then the named seats' hashes
ARGV  1 the user's UUID, then the named seats' ids, in the order of their keys
Returns {OK, now ms, for each reserved seat {seat id, reservation id, reference}, for each hold {seat id,
      expiresAt ms, reservingUntil ms, 0 if it does not apply}}; {EVENT_UNKNOWN, now ms} ]]
-- @include clock
-- @include load
if redis.call('EXISTS', KEYS[1]) == 0 then return {CODE.EVENT_UNKNOWN, now} end
local named = {}
for i = 2, #ARGV do named[ARGV[i]] = KEYS[i + 2] end

local holds = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', now), '+inf')) do
  local seat = named[id] and load_seat(named[id])
  if not named[id] then
    holds[#holds + 1] = {id}
  elseif seat and seat.live and seat.user == ARGV[1] then
    holds[#holds + 1] = {id, seat.expires, seat.pinned and seat.reserving or 0}
  end
end
local reserved = {}
for i, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  reserved[i] = named[id] and {id, unpack(reservation(named[id]))} or {id}
end
return {CODE.OK, now, reserved, holds}
