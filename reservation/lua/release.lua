--[[ release: gives a user's holds back at once.
Guarantee: the seats are free, or nothing changed but holds that were due, which are freed. Releasing a seat that is
free already succeeds, so the call may be repeated; run again for the same call it answers the same.
KEYS  1 to 5 as in _seats, then 6 the call's record string, and the seats'
ARGV  1 to 7 as in _seats, then 8 fingerprint, 9 how long the record is kept, ms
Returns {RELEASED, now ms}; {RESERVE_PENDING, now ms, reservingUntil ms, seats in the way…}; {code, now ms, seats in
      the way…} with NOT_HOLDER, SEAT_RESERVED; {code, now ms} with EVENT_UNKNOWN, SEAT_UNKNOWN, TOO_LATE, KEY_REUSED;
      1000 more than the code if it is what was answered before ]]
-- @include clock
-- @include seats
-- @include once
return once(KEYS[6], ARGV[8], ARGV[9], function()
  if too_late() then return {CODE.TOO_LATE, now} end
  local seats, code, found = own_holds(true)
  if not seats then return {code, now, unpack(found)} end

  for _, seat in ipairs(seats) do
    if seat.live then
      redis.call('ZREM', holder_key, seat.id)
      free_seat(seat.id, seat.key, seat.lock, 'released', actor)
    end
  end
  return {CODE.RELEASED, now}
end)
