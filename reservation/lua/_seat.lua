-- What the scripts about one seat and one user share. Beyond `_event`:
--   KEYS[5] seat:{E}-N                  hash        ARGV[4] seat id
--   KEYS[6] seat:{E}-N:lock             string      ARGV[5] the user's UUID
--   KEYS[7] event:{E}:holder:<uuid>     zset        ARGV[6] keyed hash of that UUID
--                                                   ARGV[7] when a client's call is too old, ms;
--                                                           0: never
-- @include event
local seat_key, lock_key, holder_key = KEYS[5], KEYS[6], KEYS[7]
local seat_id, user, actor = ARGV[4], ARGV[5], ARGV[6]

-- Whether the caller was told long ago that nobody answered, and may have asked again or gone: a release
-- that arrives only now could end the caller's next hold. To be asked once it is certain that the call has
-- not been carried out before, and is merely sent again.
local function too_late()
  local not_after = tonumber(ARGV[7])
  return not_after > 0 and now > not_after
end

-- How many seats the user holds now.
local function live_holds()
  return redis.call('ZCOUNT', holder_key, string.format('(%.0f', now), '+inf')
end

-- Makes the user's hold end at `ends` (ms), everywhere a hold's end is kept. The holder's set
-- goes with its last hold.
local function set_hold_end(ends)
  redis.call('ZADD', holds_key, ends, seat_id)
  redis.call('ZADD', holder_key, ends, seat_id)
  redis.call('SET', lock_key, user, 'PXAT', ends)
  redis.call('PEXPIREAT', holder_key, redis.call('ZREVRANGE', holder_key, 0, 0, 'WITHSCORES')[2])
end

local function expire() free_seat(seat_id, seat_key, lock_key, 'expired', '') end

-- The seat that the user has on hold, or {nil, why not}.
local function own_hold()
  if redis.call('EXISTS', event_key) == 0 then return nil, CODE.EVENT_UNKNOWN end
  local seat = load_seat(seat_key)
  if not seat then return nil, CODE.SEAT_UNKNOWN end
  if seat.status == 'Reserved' then return nil, CODE.SEAT_RESERVED end
  if seat.due then expire() end
  if not seat.live then return nil, CODE.NOT_ON_HOLD end
  if seat.user ~= user then return nil, CODE.NOT_HOLDER end
  if seat.pinned then return nil, CODE.RESERVE_PENDING, seat.reserving end
  return seat
end
