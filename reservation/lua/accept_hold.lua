--[[ accept_hold: enters a hold job in the ledger if the seat could be held now.
Guarantee: the job is in the ledger with its place in the queue, or nothing was written. Run again
with the same job id, or for the same request of a client, it answers the same. This is only the early no: `hold`
decides.
KEYS  1 to 10 as in _accept
ARGV  1 to 9 as in _accept, then 10 ms that jobs wait for a worker;
      11 deadline, ms from now; 12 most seats a user may hold; 13 most open jobs;
      14 the failed job that this one repeats, or ''
Returns {ACCEPTED, now ms, rank, pace µs, job id, ARGV 10}; {LIMIT_REACHED, now ms, held}; {code, now ms}
      with EVENT_UNKNOWN, SEAT_UNKNOWN, SEAT_HELD, SEAT_RESERVED, QUEUE_FULL, TOO_LATE, KEY_REUSED; 1000 more than
      the code if it is what was answered before ]]
-- @include clock
-- @include accept
local deadline_ms, limit, max_open = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])

return accept(function(seat, pace)
  if seat.status == 'Reserved' then return {CODE.SEAT_RESERVED, now} end
  if seat.live and seat.user ~= user then return {CODE.SEAT_HELD, now} end
  local held = live_holds()
  if not seat.live and held >= limit then return {CODE.LIMIT_REACHED, now, held} end
  if redis.call('ZCARD', jobs_key) >= max_open then return {CODE.QUEUE_FULL, now} end
  open_job('HOLD_SEAT', now + deadline_ms, ARGV[14])
  return accepted(job_id, pace)
end)
