--[[ release: gives a user's hold back at once.
Guarantee: the seat is free, or nothing changed. Releasing a seat that is free already succeeds,
so the call may be repeated; run again with the same call id it answers the same.
KEYS  1 to 7 as in _seat
ARGV  1 to 7 as in _seat, then 8 id of this call
Returns {RESERVE_PENDING, now ms, reservingUntil ms}; {code, now ms} with RELEASED,
      EVENT_UNKNOWN, SEAT_UNKNOWN, NOT_HOLDER, SEAT_RESERVED, TOO_LATE ]]
-- @include clock
-- @include seat
if answered(ARGV[8]) then return {CODE.RELEASED, now} end
if too_late() then return {CODE.TOO_LATE, now} end
local seat, code, reserving = own_hold()
if code == CODE.NOT_ON_HOLD then return {CODE.RELEASED, now} end
if not seat then return {code, now, reserving} end

redis.call('ZREM', holder_key, seat_id)
free_seat(seat_id, seat_key, lock_key, 'released', actor)
remember_call(ARGV[8], 0)
return {CODE.RELEASED, now}
