-- What the scripts share that are about seats of one event, of which all are meant or none, and one user. Beyond `_event`:
--   KEYS[5] event:{E}:holder:<uuid> zset            ARGV[4] ids of the seats, with a blank between two
--   the last ones, for each seat in the order       ARGV[5] the user's UUID
--   of ARGV[4]: seat:{E}-N hash, and                ARGV[6] keyed hash of the UUID of who acts
--   seat:{E}-N:lock string                          ARGV[7] when a client's call is too old, ms; 0: never
-- @include event
local holder_key, user, actor = KEYS[5], ARGV[5], ARGV[6]

local named = {}
for id in string.gmatch(ARGV[4], '%S+') do named[#named + 1] = id end
local keys_before = #KEYS - 2 * #named

-- The seats as they are at `now`; nil if one of them is not there.
local function load_seats()
  local seats = {}
  for i, id in ipairs(named) do
    local key = KEYS[keys_before + 2 * i - 1]
    local seat = load_seat(key)
    if not seat then return nil end
    seat.id, seat.key, seat.lock = id, key, KEYS[keys_before + 2 * i]
    seats[i] = seat
  end
  return seats
end

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

-- Makes the user's hold end at `ends` (ms), everywhere a hold's end is kept.
local function set_hold_end(seat, ends)
  redis.call('ZADD', holds_key, ends, seat.id)
  redis.call('ZADD', holder_key, ends, seat.id)
  redis.call('SET', seat.lock, user, 'PXAT', ends)
end

-- Lets the holder's set go with its last hold. To be called once all ends are set.
local function expire_holder()
  redis.call('PEXPIREAT', holder_key, redis.call('ZREVRANGE', holder_key, 0, 0, 'WITHSCORES')[2])
end

local function expire(seat) free_seat(seat.id, seat.key, seat.lock, 'expired', '') end

-- What is in the way of all seats together: `why` says of each what is, as a code, or nothing. Returns nil if nothing
-- is; otherwise the code, and each seat that is in the way as its number and the letter of its status (seat_map).
local function in_the_way(seats, why)
  local code, found = nil, {}
  for _, seat in ipairs(seats) do
    local each = why(seat)
    if each then
      -- Of several reasons, the one that stays.
      local stays = each == CODE.SEAT_RESERVED or (each == CODE.SEAT_BLOCKED and code ~= CODE.SEAT_RESERVED)
      if stays or not code then code = each end
      local letter = seat.status == 'Reserved' and 'R' or seat.status == 'Blocked' and 'B' or seat.live and 'H' or 'A'
      found[#found + 1] = string.match(seat.id, '%d+$') .. letter
    end
  end
  return code, found
end

-- The seats, if the user has all of them on hold. Otherwise nil, the code that says why not, and a list of what belongs
-- to that: the time by which a reservation under way is decided, and the seats that are in the way.
--   or_free: those that are free are in nobody's way
local function own_holds(or_free)
  if redis.call('EXISTS', event_key) == 0 then return nil, CODE.EVENT_UNKNOWN, {} end
  local seats = load_seats()
  if not seats then return nil, CODE.SEAT_UNKNOWN, {} end
  local decided = 0
  local code, found = in_the_way(seats, function(seat)
    if seat.status == 'Reserved' then return CODE.SEAT_RESERVED end
    if seat.status == 'Blocked' then return not or_free and CODE.SEAT_BLOCKED end
    if seat.due then expire(seat) end
    if not seat.live then return not or_free and CODE.NOT_ON_HOLD end
    if seat.user ~= user then return CODE.NOT_HOLDER end
    if seat.pinned then
      decided = math.max(decided, seat.reserving)
      return CODE.RESERVE_PENDING
    end
  end)
  if not code then return seats end
  if code == CODE.RESERVE_PENDING then table.insert(found, 1, decided) end
  return nil, code, found
end
