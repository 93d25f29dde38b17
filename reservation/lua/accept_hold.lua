--[[ accept_hold: enters a hold job in the ledger if its seats could be held now.
Guarantee: the job is in the ledger with its place in the queue, or nothing was written. Run again
with the same job id, or for the same request of a client, it answers the same. This is only the early no: `hold`
decides.
KEYS  1 to 8 as in _accept, and the seats'
ARGV  1 to 9 as in _accept, then 10 ms that jobs wait for a worker;
      11 deadline, ms from now; 12 most seats a user may hold; 13 most open jobs;
      14 the failed job that this one repeats, or ''
Returns {ACCEPTED, now ms, rank, pace µs, job id, ARGV 10}; {LIMIT_REACHED, now ms, held, requested}; {code, now ms,
      seats in the way…} with SEAT_HELD, SEAT_RESERVED; {code, now ms} with EVENT_UNKNOWN, SEAT_UNKNOWN, QUEUE_FULL,
      TOO_LATE, KEY_REUSED; 1000 more than the code if it is what was answered before ]]
-- @include clock
-- @include accept
-- @include hold
local deadline_ms, limit, max_open = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])

return accept(function(seats, pace)
  local code, found, wanted = against_hold(seats)
  if code then return {code, now, unpack(found)} end
  local held = live_holds()
  if #wanted > 0 and held + #wanted > limit then return {CODE.LIMIT_REACHED, now, held, #wanted} end
  if redis.call('ZCARD', jobs_key) >= max_open then return {CODE.QUEUE_FULL, now} end
  open_job('HOLD_SEAT', now + deadline_ms, ARGV[14])
  return accepted(job_id, pace)
end)
