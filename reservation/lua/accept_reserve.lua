--[[ accept_reserve: enters a reserve job in the ledger and pins the holds of its seats until that job ends.
Guarantee: the job is in the ledger and time in the queue cannot lose a seat, or nothing was
written. While the job is open a second call returns it. A hold gets one pin beyond its own end:
a later job of the same hold has to be done before the hold's end, so that asking again cannot
keep a seat for ever.
KEYS  1 to 8 as in _accept, and the seats'
ARGV  1 to 9 as in _accept, then 10 ms that jobs wait for a worker;
      11 deadline, ms from when it may be carried out; 12 most open jobs, for seats that the user has reserved
      already: of the others there are no more than seats; 13 the failed job that this one repeats, or '';
      14 the client's reference, or ''; 15 'vip', or ''; 16 when it may be carried out at the earliest, ms, or 0;
      17 how far ahead that may be, ms, if the holds last as long by themselves
Returns {ACCEPTED, now ms, rank, pace µs, job id, ARGV 10}, and when it may be carried out, ms, if that is ahead;
      {code, now ms, seats in the way…} with NOT_HOLDER, NOT_ON_HOLD, SEAT_RESERVED, SEAT_BLOCKED; {RESERVE_PENDING,
      now ms, reservingUntil ms, seats…} if some are in another job; {DELAY_TOO_LONG, now ms, latest ms}; {code, now
      ms} with EVENT_UNKNOWN, SEAT_UNKNOWN, QUEUE_FULL, TOO_LATE, KEY_REUSED; 1000 more than the code if it is what
      was answered before ]]
-- @include clock
-- @include accept
local not_before = tonumber(ARGV[16])

return accept(function(seats, pace)
  local holds = {}
  local code, found = in_the_way(seats, function(seat)
    if seat.status == 'Reserved' then return seat.user ~= user and CODE.SEAT_RESERVED end
    if seat.status == 'Blocked' then return CODE.SEAT_BLOCKED end
    if not seat.live then return CODE.NOT_ON_HOLD end
    if seat.user ~= user then return CODE.NOT_HOLDER end
    holds[#holds + 1] = seat
  end)
  if code then return {code, now, unpack(found)} end

  local first, decided, together = holds[1], 0, true
  code, found = in_the_way(holds, function(seat)
    together = together and seat.pinned and seat.reserve_job == first.reserve_job
    decided = math.max(decided, seat.reserving)
    return seat.pinned and CODE.RESERVE_PENDING
  end)
  if code and together then return accepted(first.reserve_job, pace, time_of(first.reserve_job)) end
  if code then return {code, now, decided, unpack(found)} end

  if not first and redis.call('ZCARD', jobs_key) >= tonumber(ARGV[12]) then return {CODE.QUEUE_FULL, now} end
  if not first then not_before = 0 end  -- there is nothing to wait for
  local deadline = math.max(now, not_before) + tonumber(ARGV[11])
  if not_before > now then
    local latest = now + ARGV[17]
    for _, seat in ipairs(holds) do
      -- A job of a hold that had its pin has to end before the hold does: the longer it waited, the less time it had.
      latest = math.max(now, math.min(latest, seat.reserve_job == '' and seat.expires - 1 or now))
    end
    if not_before > latest then return {CODE.DELAY_TOO_LONG, now, latest} end
  end
  for _, seat in ipairs(holds) do
    if seat.reserve_job ~= '' then deadline = math.min(deadline, seat.expires) end
  end
  open_job('RESERVE_SEAT', deadline, ARGV[13], ARGV[15], not_before)
  if ARGV[14] ~= '' then redis.call('HSET', job_key, 'reference', ARGV[14]) end
  for _, seat in ipairs(holds) do
    redis.call('HSET', seat.key, 'reservingUntil', deadline, 'reserveJob', job_id)
    set_hold_end(seat, math.max(seat.expires, deadline))
  end
  if #holds > 0 then expire_holder() end
  return accepted(job_id, pace, not_before)
end)
