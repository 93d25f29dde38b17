--[[ refresh: lets a user's holds run their full length again, from now, as far as a hold may be prolonged.
Guarantee: each hold's new end is so everywhere it is kept, or nothing changed but holds that were due, which
are freed. Run again for the same call it answers the same.
KEYS  1 to 5 as in _seats, then 6 the call's record string, and the seats'
ARGV  1 to 7 as in _seats, then 8 fingerprint, 9 how long the record is kept, ms; 10 length of a hold, ms; 11 most
      that a hold may last however often it is refreshed, ms
Returns {REFRESHED, now ms, expiresAt ms of each…}; {RESERVE_PENDING, now ms, reservingUntil ms, seats in the way…};
      {EVENT_CLOSED, now ms, closing ms, ms since then}; {HOLD_CEILING, now ms, the first one's expiresAt ms, seats in
      the way…}; {code, now ms, seats in the way…} with NOT_HOLDER, NOT_ON_HOLD, SEAT_RESERVED, SEAT_BLOCKED; {code, now
      ms} with EVENT_UNKNOWN, SEAT_UNKNOWN, TOO_LATE, KEY_REUSED; 1000 more than the code if it is what was answered
      before ]]
-- @include clock
-- @include seats
-- @include once
return once(KEYS[6], ARGV[8], ARGV[9], function()
  if too_late() then return {CODE.TOO_LATE, now} end
  local seats, code, found = own_holds()
  if not seats then return {code, now, unpack(found)} end
  local closes = tonumber(redis.call('HGET', event_key, 'closesAt') or math.huge)
  if now >= closes then return {CODE.EVENT_CLOSED, now, closes, now - closes} end

  local ends, first = {}, math.huge
  code, found = in_the_way(seats, function(seat)
    local ceiling = redis.call('HGET', seat.key, 'heldAt') + ARGV[11]
    ends[#ends + 1] = math.min(now + ARGV[10], ceiling)
    if seat.expires >= ceiling then
      first = math.min(first, seat.expires)
      return CODE.HOLD_CEILING
    end
  end)
  if code then return {code, now, first, unpack(found)} end

  for i, seat in ipairs(seats) do
    redis.call('HSET', seat.key, 'expiresAt', ends[i])
    set_hold_end(seat, ends[i])
    record(seat.id, 'refreshed', actor)
  end
  expire_holder()
  return {CODE.REFRESHED, now, unpack(ends)}
end)
