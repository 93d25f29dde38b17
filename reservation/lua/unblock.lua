--[[ unblock: lets blocked seats be sold again.
Guarantee: those of the seats that were blocked are free, and the others as they were. Run again for the same call it
answers the same.
KEYS  1 to 7 as in block, and the seats'
ARGV  1 to 10 as in block
Returns {UNBLOCKED, now ms}; {code, now ms} with EVENT_UNKNOWN, SEAT_UNKNOWN, TOO_LATE, KEY_REUSED; 1000 more than the
      code if it is what was answered before ]]
-- @include clock
-- @include seats
-- @include once
local blocked_key, reason = KEYS[7], ARGV[10]

return once(KEYS[6], ARGV[8], ARGV[9], function()
  if too_late() then return {CODE.TOO_LATE, now} end
  if redis.call('EXISTS', event_key) == 0 then return {CODE.EVENT_UNKNOWN, now} end
  local seats = load_seats()
  if not seats then return {CODE.SEAT_UNKNOWN, now} end

  local more, ids, numbered = reason ~= '' and {'reason', reason} or {}, {}, {}
  for _, seat in ipairs(seats) do
    if seat.status == 'Blocked' and seat.user ~= '' then
      -- A version that knows nothing of blocked seats freed and sold it: it is that buyer's.
      redis.call('HDEL', seat.key, 'blocked')
      redis.call('ZREM', blocked_key, seat.id)
    elseif seat.status == 'Blocked' then
      redis.call('HSET', seat.key, 'status', 'Available')
      redis.call('HDEL', seat.key, 'blocked')
      record(seat.id, 'unblocked', actor, unpack(more))
      ids[#ids + 1] = seat.id
      numbered[#numbered + 1], numbered[#numbered + 2] = string.match(seat.id, '%d+$'), seat.id
    end
  end
  if #ids > 0 then
    redis.call('ZREM', blocked_key, unpack(ids))
    redis.call('ZADD', available_key, unpack(numbered))
  end
  return {CODE.UNBLOCKED, now}
end)
