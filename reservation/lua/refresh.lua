--[[ refresh: lets a user's hold run its full length again, from now.
Guarantee: the hold ends `hold_ms` from now everywhere its end is kept, or nothing changed but a
hold that was due, which is freed. Run again for the same call it answers the same.
KEYS  1 to 7 as in _seat, then 8 the call's record string
ARGV  1 to 7 as in _seat, then 8 fingerprint, 9 how long the record is kept, ms; 10 length of a hold, ms
Returns {REFRESHED, now ms, expiresAt ms}; {RESERVE_PENDING, now ms, reservingUntil ms}; {code,
      now ms} with EVENT_UNKNOWN, SEAT_UNKNOWN, NOT_HOLDER, NOT_ON_HOLD, SEAT_RESERVED, TOO_LATE, KEY_REUSED;
      1000 more than the code if it is what was answered before ]]
-- @include clock
-- @include seat
-- @include once
return once(KEYS[8], ARGV[8], ARGV[9], function()
  if too_late() then return {CODE.TOO_LATE, now} end
  local seat, code, reserving = own_hold()
  if not seat then return {code, now, reserving} end

  local expires = now + tonumber(ARGV[10])
  redis.call('HSET', seat_key, 'expiresAt', expires)
  set_hold_end(expires)
  record(seat_id, 'refreshed', actor)
  return {CODE.REFRESHED, now, expires}
end)
