--[[ reserve: turns a user's hold into a reservation, and writes the job's verdict.
Guarantee: only the user whose hold is live gets the seat; seat and verdict change together; a
reserved seat stays as it is. Run again it returns the stored verdict; without a ledger entry it
does nothing; past the job's deadline it fails the job, and its pin goes.
KEYS  1 to 9 as in _job, then 10 event:{E}:buyer:<uuid> zset
ARGV  1 to 7 as in _seat, then 8 how long an ended job is kept, ms
Returns {code, now ms, createdAt ms} with RESERVED, RESERVED_ALREADY, SEAT_RESERVED,
      HOLD_EXPIRED, SEAT_UNKNOWN, DEADLINE_PASSED; {stored code, now ms} of a job that had ended;
      {JOB_UNKNOWN, now ms} ]]
-- @include clock
-- @include job
local buyer_key, result_ttl_ms = KEYS[10], ARGV[8]

local job = load_job()
if not job then return {CODE.JOB_UNKNOWN, now} end
if job.ended then return {job.code, now} end
local seat = load_seat(seat_key)
if not seat then return end_job(job, 'completed', CODE.SEAT_UNKNOWN, result_ttl_ms) end
if now >= job.deadline then
  unpin(seat)
  return end_job(job, 'failed', CODE.DEADLINE_PASSED, result_ttl_ms)
end

if seat.status == 'Reserved' then
  local code = seat.user == user and CODE.RESERVED_ALREADY or CODE.SEAT_RESERVED
  return end_job(job, 'completed', code, result_ttl_ms)
end
if not seat.live or seat.user ~= user then
  if seat.due then expire() end
  return end_job(job, 'completed', CODE.HOLD_EXPIRED, result_ttl_ms)
end

redis.call('HSET', seat_key, 'status', 'Reserved', 'reservedAt', now)
redis.call('HDEL', seat_key, 'heldAt', 'expiresAt', 'reservingUntil', 'reserveJob')
redis.call('DEL', lock_key)
redis.call('ZREM', holds_key, seat_id)
redis.call('ZREM', holder_key, seat_id)
redis.call('ZADD', buyer_key, now, seat_id)
record(seat_id, 'reserved', actor)
return end_job(job, 'completed', CODE.RESERVED, result_ttl_ms)
