--[[ hold: holds the seats of a job for its user, all or none, and writes the job's verdict.
Guarantee: of all jobs for a free seat exactly one gets it; no user holds more than the limit; seats
and verdict change together. Run again it returns the stored verdict and changes nothing; without
a ledger entry it does nothing; past the job's deadline it fails the job and touches no seat.
KEYS  1 to 7 as in _job, then 8 event:{E}:picked zset, 9 event:{E}:failures stream, and the seats'
ARGV  1 to 7 as in _seats, then 8 how long an ended job is kept, ms; 9 length of a hold, ms;
      10 most seats a user may hold
Returns {code, now ms, since ms} with HELD, HELD_ALREADY, SEAT_HELD, SEAT_RESERVED, SEAT_BLOCKED,
      LIMIT_REACHED, SEAT_UNKNOWN, EVENT_CLOSED, DEADLINE_PASSED; {stored code, now ms} of a job that had ended;
      {JOB_UNKNOWN, now ms}; {NOT_DUE, now ms} before its time; {PICK_AGAIN, now ms, required or preferred} of a
      job for the best seats if these are gone, which changes nothing: it can be held other ones ]]
-- @include clock
-- @include job
-- @include hold
local result_ttl_ms, hold_ms, limit = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])

local job = load_job()
if not job then return {CODE.JOB_UNKNOWN, now} end
if job.ended then return {job.code, now} end
if job.later and now < job.since then return {CODE.NOT_DUE, now} end
if now >= job.deadline then return end_job(job, 'failed', CODE.DEADLINE_PASSED, result_ttl_ms) end

if now >= job.closes then
  if job.adjacent then give_up_picked(job, KEYS[8]) end
  return end_job(job, 'completed', CODE.EVENT_CLOSED, result_ttl_ms)
end

local seats = load_seats()
if not seats then return end_job(job, 'completed', CODE.SEAT_UNKNOWN, result_ttl_ms) end
local code, found, wanted = against_hold(seats)
-- A seat that the user has already is none of those to be got.
if job.adjacent and (code or #wanted < #seats) then return {CODE.PICK_AGAIN, now, job.adjacent} end
if code then return end_job(job, 'completed', code, result_ttl_ms, against(found)) end
for _, seat in ipairs(wanted) do
  if seat.due then expire(seat) end
end
-- What the user holds, and last of all when the last of it ends: in one call, as each takes longer than what it asks for.
local live = redis.call('ZRANGEBYSCORE', holder_key, string.format('(%.0f', now), '+inf', 'WITHSCORES')
local held = #live / 2
if #wanted > 0 and held + #wanted > limit then
  if job.adjacent then give_up_picked(job, KEYS[8]) end
  return end_job(job, 'completed', CODE.LIMIT_REACHED, result_ttl_ms,
    'limit', limit, 'held', held, 'requested', #wanted)
end

for _, seat in ipairs(wanted) do
  seat.expires = now + hold_ms
  redis.call('HSET', seat.key, 'status', 'On hold', 'UUID', user, 'heldAt', now, 'expiresAt', seat.expires)
  redis.call('ZREM', available_key, seat.id)
  set_hold_end(seat, seat.expires)
  record(seat.id, 'held', actor)
end
if #wanted > 0 then
  redis.call('PEXPIREAT', holder_key, math.max(tonumber(live[#live] or 0), now + hold_ms))
end
local ends = {}
for i, seat in ipairs(seats) do ends[i] = string.format('%.0f', seat.expires) end
if job.adjacent then
  redis.call('HSET', job_key, 'got', ARGV[4])
  give_up_picked(job, KEYS[8])
end
return end_job(job, 'completed', #wanted > 0 and CODE.HELD or CODE.HELD_ALREADY, result_ttl_ms,
  'expiresAt', table.concat(ends, ' '))
