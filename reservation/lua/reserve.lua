--[[ reserve: turns a user's holds into reservations, all or none, and writes the job's verdict.
Guarantee: only the user whose hold is live gets the seat; seats and verdict change together; a reserved seat stays as
it is. The reservation is known by the id of its job. Run again it returns the stored verdict; without a ledger entry
it does nothing; past the job's deadline it fails the job. If it ends without a reservation, its pins go.
KEYS  1 to 7 as in _job, then 8 event:{E}:buyer:<uuid> zset, 9 event:{E}:failures stream, and the seats'
ARGV  1 to 7 as in _seats, then 8 how long an ended job is kept, ms
Returns {code, now ms, since ms} with RESERVED, RESERVED_ALREADY, SEAT_RESERVED,
      HOLD_EXPIRED, SEAT_UNKNOWN, DEADLINE_PASSED; {stored code, now ms} of a job that had ended;
      {JOB_UNKNOWN, now ms}; {NOT_DUE, now ms} before its time ]]
-- @include clock
-- @include job
local buyer_key, result_ttl_ms = KEYS[8], ARGV[8]

local job = load_job()
if not job then return {CODE.JOB_UNKNOWN, now} end
if job.ended then return {job.code, now} end
if job.later and now < job.since then return {CODE.NOT_DUE, now} end
local seats = load_seats()
if not seats then return end_job(job, 'completed', CODE.SEAT_UNKNOWN, result_ttl_ms) end
if now >= job.deadline then
  for _, seat in ipairs(seats) do unpin(seat) end
  return end_job(job, 'failed', CODE.DEADLINE_PASSED, result_ttl_ms)
end

local holds = {}
local code, found = in_the_way(seats, function(seat)
  if seat.status == 'Reserved' then return seat.user ~= user and CODE.SEAT_RESERVED end
  if not seat.live or seat.user ~= user then return CODE.HOLD_EXPIRED end
  holds[#holds + 1] = seat
end)
if code then
  for _, seat in ipairs(seats) do
    if seat.due then expire(seat) else unpin(seat) end
  end
  return end_job(job, 'completed', code, result_ttl_ms, against(found))
end

for _, seat in ipairs(holds) do
  redis.call('HSET', seat.key, 'status', 'Reserved', 'reservedAt', now, 'reservation', job_id)
  if job.reference ~= '' then redis.call('HSET', seat.key, 'reference', job.reference) end
  redis.call('HDEL', seat.key, 'heldAt', 'expiresAt', 'reservingUntil', 'reserveJob')
  redis.call('DEL', seat.lock)
  redis.call('ZREM', holds_key, seat.id)
  redis.call('ZREM', holder_key, seat.id)
  redis.call('ZADD', buyer_key, now, seat.id)
  record(seat.id, 'reserved', actor)
end
return end_job(job, 'completed', #holds > 0 and CODE.RESERVED or CODE.RESERVED_ALREADY, result_ttl_ms)
