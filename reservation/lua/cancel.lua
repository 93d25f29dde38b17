--[[ cancel: gives reservations back at once, and the seats are free.
Guarantee: all of the seats were the user's and are free, or nothing changed. A reservation is cancelled once: it may
be somebody else's the next moment. Run again for the same call it answers the same.
KEYS  1 to 5 as in _seats, then 6 the call's record string, 7 event:{E}:buyer:<uuid> zset, and the seats'
ARGV  1 to 7 as in _seats, then 8 fingerprint, 9 how long the record is kept, ms; 10: 1 if the user is not who the
      caller named, but who the caller found to have reserved the first seat
Returns {CANCELLED, now ms}; {code, now ms, seats in the way…} with NOT_RESERVED, NOT_OWNER, OWNER_CHANGED (instead of
      NOT_OWNER, with ARGV 10, if the first seat is somebody else's by now); {code, now ms} with EVENT_UNKNOWN,
      SEAT_UNKNOWN, TOO_LATE, KEY_REUSED; 1000 more than the code if it is what was answered before ]]
-- @include clock
-- @include seats
-- @include once
local buyer_key = KEYS[7]

return once(KEYS[6], ARGV[8], ARGV[9], function()
  if too_late() then return {CODE.TOO_LATE, now} end
  if redis.call('EXISTS', event_key) == 0 then return {CODE.EVENT_UNKNOWN, now} end
  local seats = load_seats()
  if not seats then return {CODE.SEAT_UNKNOWN, now} end
  local first = seats[1]
  if ARGV[10] == '1' and first.status == 'Reserved' and first.user ~= user then return {CODE.OWNER_CHANGED, now} end
  local code, found = in_the_way(seats, function(seat)
    if seat.status ~= 'Reserved' then return CODE.NOT_RESERVED end
    return seat.user ~= user and CODE.NOT_OWNER
  end)
  if code then return {code, now, unpack(found)} end

  for _, seat in ipairs(seats) do
    redis.call('HDEL', seat.key, 'reservedAt', 'reservation', 'reference')
    redis.call('ZREM', buyer_key, seat.id)
    free_seat(seat.id, seat.key, seat.lock, 'cancelled', actor)
  end
  return {CODE.CANCELLED, now}
end)
