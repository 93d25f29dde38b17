--[[ accept_hold: enters a hold job in the ledger if the seat could be held now.
Guarantee: the job is in the ledger with its place in the queue, or nothing was written. Run again
with the same job id it answers the same. This is only the early no: `hold` decides.
KEYS  1 to 9 as in _job
ARGV  1 to 7 as in _seat, then 8 deadline, ms from now; 9 most seats a user may hold; 10 most open jobs
Returns {ACCEPTED, now ms, rank, pace µs, job id}; {LIMIT_REACHED, now ms, held}; {code, now ms}
      with EVENT_UNKNOWN, SEAT_UNKNOWN, SEAT_HELD, SEAT_RESERVED, QUEUE_FULL, TOO_LATE ]]
-- @include clock
-- @include job
local deadline_ms, limit, max_open = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local event = redis.call('HMGET', event_key, 'id', 'pace')
if not event[1] then return {CODE.EVENT_UNKNOWN, now} end
if redis.call('EXISTS', job_key) == 1 then return accepted(job_id, event[2]) end
if too_late() then return {CODE.TOO_LATE, now} end
local seat = load_seat(seat_key)
if not seat then return {CODE.SEAT_UNKNOWN, now} end
if seat.status == 'Reserved' then return {CODE.SEAT_RESERVED, now} end
if seat.live and seat.user ~= user then return {CODE.SEAT_HELD, now} end
local held = live_holds()
if not seat.live and held >= limit then return {CODE.LIMIT_REACHED, now, held} end
if redis.call('ZCARD', jobs_key) >= max_open then return {CODE.QUEUE_FULL, now} end
open_job('HOLD_SEAT', now + deadline_ms)
return accepted(job_id, event[2])
