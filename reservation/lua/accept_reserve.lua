--[[ accept_reserve: enters a reserve job in the ledger and pins the hold until that job ends.
Guarantee: the job is in the ledger and time in the queue cannot lose the seat, or nothing was
written. While the job is open a second call returns it. A hold gets one pin beyond its own end:
a later job of the same hold has to be done before the hold's end, so that asking again cannot
keep a seat for ever.
KEYS  1 to 10 as in _accept
ARGV  1 to 9 as in _accept, then 10 ms that jobs wait for a worker;
      11 deadline, ms from now; 12 most open jobs, for a seat that the user has reserved already: of the others there
      are no more than seats; 13 the failed job that this one repeats, or ''
Returns {ACCEPTED, now ms, rank, pace µs, job id, ARGV 10}; {code, now ms} with EVENT_UNKNOWN, SEAT_UNKNOWN,
      NOT_HOLDER, NOT_ON_HOLD, SEAT_RESERVED, QUEUE_FULL, TOO_LATE, KEY_REUSED; 1000 more than the code if it is what
      was answered before ]]
-- @include clock
-- @include accept
local deadline = now + tonumber(ARGV[11])

return accept(function(seat, pace)
  if seat.status == 'Reserved' then
    if seat.user ~= user then return {CODE.SEAT_RESERVED, now} end
    if redis.call('ZCARD', jobs_key) >= tonumber(ARGV[12]) then return {CODE.QUEUE_FULL, now} end
    open_job('RESERVE_SEAT', deadline, ARGV[13])
    return accepted(job_id, pace)
  end
  if not seat.live then return {CODE.NOT_ON_HOLD, now} end
  if seat.user ~= user then return {CODE.NOT_HOLDER, now} end
  if seat.pinned then return accepted(seat.reserve_job, pace) end

  if seat.reserve_job ~= '' then deadline = math.min(deadline, seat.expires) end
  open_job('RESERVE_SEAT', deadline, ARGV[13])
  redis.call('HSET', seat_key, 'reservingUntil', deadline, 'reserveJob', job_id)
  set_hold_end(math.max(seat.expires, deadline))
  return accepted(job_id, pace)
end)
