--[[ refresh: lets a user's hold run its full length again, from now.
Guarantee: the hold ends `hold_ms` from now everywhere its end is kept, or nothing changed but a
hold that was due, which is freed.
KEYS  1 to 7 as in _seat
ARGV  1 to 6 as in _seat, then 7 length of a hold, ms
Returns {REFRESHED, now ms, expiresAt ms}; {RESERVE_PENDING, now ms, reservingUntil ms}; {code,
      now ms} with EVENT_UNKNOWN, SEAT_UNKNOWN, NOT_HOLDER, NOT_ON_HOLD, SEAT_RESERVED ]]
-- @include clock
-- @include seat
local seat, code, reserving = own_hold()
if not seat then return {code, now, reserving} end

local expires = now + tonumber(ARGV[7])
redis.call('HSET', seat_key, 'expiresAt', expires)
set_hold_end(expires)
record(seat_id, 'refreshed', actor)
return {CODE.REFRESHED, now, expires}
