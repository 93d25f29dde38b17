-- The seat as it is at `now`, or nil. It is on hold only while `ends` lies ahead, whether or not
-- anybody has been told of its expiry. A hold pinned by an accepted reserve ends no sooner than
-- that job's deadline.
local function load_seat(key)
  local f = redis.call('HMGET', key, 'status', 'UUID', 'expiresAt', 'reservingUntil', 'reserveJob', 'blocked')
  if not f[1] then return nil end
  local seat = {
    status = f[6] and 'Blocked' or f[1], user = f[2], expires = tonumber(f[3] or 0),
    reserving = tonumber(f[4] or 0), reserve_job = f[5] or '',
  }
  seat.ends = math.max(seat.expires, seat.reserving)
  seat.live = seat.status == 'On hold' and seat.ends > now
  seat.due = seat.status == 'On hold' and not seat.live
  seat.pinned = seat.live and seat.reserving > now
  return seat
end

-- The id of a seat's reservation and the reference that the client gave it; '' for what there is not.
local function reservation(key)
  local f = redis.call('HMGET', key, 'reservation', 'reference')
  return {f[1] or '', f[2] or ''}
end
