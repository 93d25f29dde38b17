--[[ hold: holds a seat for a job's user, and writes the job's verdict.
Guarantee: of all jobs for a free seat exactly one gets it; no user holds more than the limit; seat
and verdict change together. Run again it returns the stored verdict and changes nothing; without
a ledger entry it does nothing; past the job's deadline it fails the job and touches no seat.
KEYS  1 to 9 as in _job
ARGV  1 to 7 as in _seat, then 8 how long an ended job is kept, ms; 9 length of a hold, ms;
      10 most seats a user may hold
Returns {code, now ms, createdAt ms} with HELD, HELD_ALREADY, SEAT_HELD, SEAT_RESERVED,
      LIMIT_REACHED, SEAT_UNKNOWN, DEADLINE_PASSED; {stored code, now ms} of a job that had ended;
      {JOB_UNKNOWN, now ms} ]]
-- @include clock
-- @include job
local result_ttl_ms, hold_ms, limit = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])

local job = load_job()
if not job then return {CODE.JOB_UNKNOWN, now} end
if job.ended then return {job.code, now} end
if now >= job.deadline then return end_job(job, 'failed', CODE.DEADLINE_PASSED, result_ttl_ms) end

local seat = load_seat(seat_key)
if not seat then return end_job(job, 'completed', CODE.SEAT_UNKNOWN, result_ttl_ms) end
if seat.status == 'Reserved' then
  return end_job(job, 'completed', CODE.SEAT_RESERVED, result_ttl_ms)
end
if seat.live then
  if seat.user == user then
    return end_job(job, 'completed', CODE.HELD_ALREADY, result_ttl_ms, 'expiresAt', seat.expires)
  end
  return end_job(job, 'completed', CODE.SEAT_HELD, result_ttl_ms)
end
if seat.due then expire() end
local held = live_holds()
if held >= limit then
  return end_job(job, 'completed', CODE.LIMIT_REACHED, result_ttl_ms, 'limit', limit, 'held', held)
end

local expires = now + hold_ms
redis.call('HSET', seat_key, 'status', 'On hold', 'UUID', user, 'heldAt', now, 'expiresAt', expires)
redis.call('ZREM', available_key, seat_id)
set_hold_end(expires)
record(seat_id, 'held', actor)
return end_job(job, 'completed', CODE.HELD, result_ttl_ms, 'expiresAt', expires)
