--[[ release: gives a user's hold back at once.
Guarantee: the seat is free, or nothing changed. Releasing a seat that is free already succeeds,
so the call may be repeated; run again for the same call it answers the same.
KEYS  1 to 7 as in _seat, then 8 event:{E}:call:<id> string
ARGV  1 to 7 as in _seat
Returns {RESERVE_PENDING, now ms, reservingUntil ms}; {code, now ms} with RELEASED,
      EVENT_UNKNOWN, SEAT_UNKNOWN, NOT_HOLDER, SEAT_RESERVED, TOO_LATE ]]
-- @include clock
-- @include seat
local call_key = KEYS[8]
if answered(call_key) then return {CODE.RELEASED, now} end
if too_late() then return {CODE.TOO_LATE, now} end
local seat, code, reserving = own_hold()
if code == CODE.NOT_ON_HOLD then return {CODE.RELEASED, now} end
if not seat then return {code, now, reserving} end

redis.call('ZREM', holder_key, seat_id)
free_seat(seat_id, seat_key, lock_key, 'released', actor)
remember_call(call_key, 0)
return {CODE.RELEASED, now}
