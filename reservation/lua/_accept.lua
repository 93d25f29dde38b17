-- What the two scripts share that enter a job in the ledger. Beyond `_job`:
--   KEYS[8] the request's record string, if it may be sent again and ARGV[9] is not 0
--   ARGV[8] fingerprint of the request's content; ARGV[9] how long the record is kept, ms
-- @include job
-- @include once

-- Answers as before where the request, or this call, was accepted already; refuses what cannot be; otherwise decides by
-- the seats and the event's pace.
local function accept(decide)
  return once(tonumber(ARGV[9]) > 0 and KEYS[8], ARGV[8], ARGV[9], function()
    local event = redis.call('HMGET', event_key, 'id', 'pace', 'opensAt', 'admitPerMinute', 'closesAt')
    if not event[1] then return {CODE.EVENT_UNKNOWN, now} end
    if redis.call('EXISTS', job_key) == 1 then return accepted(job_id, event[2], time_of(job_id)) end
    if too_late() then return {CODE.TOO_LATE, now} end
    local seats = load_seats()
    if not seats then return {CODE.SEAT_UNKNOWN, now} end
    return decide(seats, event[2], tonumber(event[3] or 0), event[4], tonumber(event[5] or math.huge))
  end)
end
