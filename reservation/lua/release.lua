--[[ release: gives a user's hold back at once.
Guarantee: the seat is free, or nothing changed. Releasing a seat that is free already succeeds,
so the call may be repeated; run again for the same call it answers the same.
KEYS  1 to 7 as in _seat, then 8 the call's record string
ARGV  1 to 7 as in _seat, then 8 fingerprint, 9 how long the record is kept, ms
Returns {RESERVE_PENDING, now ms, reservingUntil ms}; {code, now ms} with RELEASED,
      EVENT_UNKNOWN, SEAT_UNKNOWN, NOT_HOLDER, SEAT_RESERVED, TOO_LATE, KEY_REUSED; 1000 more than the code if it is
      what was answered before ]]
-- @include clock
-- @include seat
-- @include once
return once(KEYS[8], ARGV[8], ARGV[9], function()
  if too_late() then return {CODE.TOO_LATE, now} end
  local seat, code, reserving = own_hold()
  if code == CODE.NOT_ON_HOLD then return {CODE.RELEASED, now} end
  if not seat then return {code, now, reserving} end

  redis.call('ZREM', holder_key, seat_id)
  free_seat(seat_id, seat_key, lock_key, 'released', actor)
  return {CODE.RELEASED, now}
end)
