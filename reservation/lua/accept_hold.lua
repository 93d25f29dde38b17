--[[ accept_hold: enters a hold job in the ledger if its seats could be held now.
Guarantee: the job is in the ledger with its place in the queue, or nothing was written. Run again
with the same job id, or for the same request of a client, it answers the same. This is only the early no: `hold`
decides.
KEYS  1 to 8 as in _accept, and the seats'
ARGV  1 to 9 as in _accept, then 10 ms that jobs wait for a worker;
      11 deadline, ms from now; 12 most seats a user may hold; 13 most open jobs;
      14 the failed job that this one repeats, or ''; 15 until when the user is admitted, ms, or 0
Returns {ACCEPTED, now ms, rank, pace µs, job id, ARGV 10}; {LIMIT_REACHED, now ms, held, requested};
      {SALES_NOT_OPEN, now ms, opening ms, ms until then}; {code, now ms, seats in the way…} with SEAT_HELD,
      SEAT_RESERVED; {code, now ms} with ADMISSION_REQUIRED, EVENT_UNKNOWN, SEAT_UNKNOWN, QUEUE_FULL, TOO_LATE,
      KEY_REUSED; 1000 more than the code if it is what was answered before ]]
-- @include clock
-- @include accept
-- @include hold
local deadline_ms, limit, max_open = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])

return accept(function(seats, pace, opens, has_room)
  if ARGV[14] == '' then  -- what is repeated was let in
    if now < opens then return {CODE.SALES_NOT_OPEN, now, opens, opens - now} end
    if has_room and tonumber(ARGV[15]) <= now then return {CODE.ADMISSION_REQUIRED, now} end
  end
  local code, found, wanted = against_hold(seats)
  if code then return {code, now, unpack(found)} end
  local held = live_holds()
  if #wanted > 0 and held + #wanted > limit then return {CODE.LIMIT_REACHED, now, held, #wanted} end
  if redis.call('ZCARD', jobs_key) >= max_open then return {CODE.QUEUE_FULL, now} end
  open_job('HOLD_SEAT', now + deadline_ms, ARGV[14])
  return accepted(job_id, pace)
end)
