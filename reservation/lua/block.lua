--[[ block: takes free seats out of the sale.
Guarantee: nobody can have any of the seats until they are unblocked, or nothing changed. One that is blocked already
stays so. Run again for the same call it answers the same.
KEYS  1 to 5 as in _seats, then 6 the call's record string, 7 event:{E}:blocked zset, and the seats'
ARGV  1 to 7 as in _seats, of which the user is not used; then 8 fingerprint, 9 how long the record is kept, ms;
      10 a reason, or ''
Returns {BLOCKED, now ms}; {code, now ms, seats in the way…} with SEAT_HELD, SEAT_RESERVED; {code, now ms} with
      EVENT_UNKNOWN, SEAT_UNKNOWN, TOO_LATE, KEY_REUSED; 1000 more than the code if it is what was answered before ]]
-- @include clock
-- @include seats
-- @include once
local blocked_key, reason = KEYS[7], ARGV[10]

return once(KEYS[6], ARGV[8], ARGV[9], function()
  if too_late() then return {CODE.TOO_LATE, now} end
  if redis.call('EXISTS', event_key) == 0 then return {CODE.EVENT_UNKNOWN, now} end
  local seats = load_seats()
  if not seats then return {CODE.SEAT_UNKNOWN, now} end
  local code, found = in_the_way(seats, function(seat)
    if seat.status == 'Reserved' then return CODE.SEAT_RESERVED end
    return seat.live and CODE.SEAT_HELD
  end)
  if code then return {code, now, unpack(found)} end

  local more, ids, numbered = reason ~= '' and {'reason', reason} or {}, {}, {}
  for _, seat in ipairs(seats) do
    if seat.due then expire(seat) end
  end
  for _, seat in ipairs(seats) do
    if seat.status ~= 'Blocked' then
      -- A version that knows nothing of blocked seats takes it for one that is nobody's to have.
      redis.call('HSET', seat.key, 'status', 'Reserved', 'UUID', '', 'blocked', 1)
      record(seat.id, 'blocked', actor, unpack(more))
      ids[#ids + 1] = seat.id
      numbered[#numbered + 1], numbered[#numbered + 2] = string.match(seat.id, '%d+$'), seat.id
    end
  end
  if #ids > 0 then
    redis.call('ZREM', available_key, unpack(ids))
    redis.call('ZADD', blocked_key, unpack(numbered))
  end
  return {CODE.BLOCKED, now}
end)
