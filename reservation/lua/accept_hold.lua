--[[ accept_hold: enters a hold job in the ledger if its seats could be held now.
Guarantee: the job is in the ledger with its place in the queue, or nothing was written. Run again
with the same job id, or for the same request of a client, it answers the same. This is only the early no: `hold`
decides.
KEYS  1 to 8 as in _accept; for the best seats, 9 event:{E}:picked zset; and the seats'
ARGV  1 to 9 as in _accept, then 10 ms that jobs wait for a worker;
      11 deadline, ms from now; 12 most seats a user may hold; 13 most open jobs;
      14 the failed job that this one repeats, or ''; 15 until when the user is admitted, ms, or 0;
      16 for the best seats: required or preferred (open_job); 17 1 if they may be gone: the job gets others then
Returns {ACCEPTED, now ms, rank, pace µs, job id, ARGV 10}; {LIMIT_REACHED, now ms, held, requested};
      {SALES_NOT_OPEN, now ms, opening ms, ms until then}; {code, now ms, seats in the way…} with SEAT_HELD,
      SEAT_RESERVED; {code, now ms} with ADMISSION_REQUIRED, EVENT_UNKNOWN, SEAT_UNKNOWN, QUEUE_FULL, TOO_LATE,
      KEY_REUSED, PICK_AGAIN (some of the best seats are gone, or another open job has picked them); 1000 more than
      the code if it is what was answered before ]]
-- @include clock
-- @include accept
-- @include hold
local deadline_ms, limit, max_open = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local adjacent, picked_key = ARGV[16], KEYS[9]

-- Whether another open job for the best seats has picked one of these.
local function are_picked()
  for _, id in ipairs(named) do
    if tonumber(redis.call('ZSCORE', picked_key, string.match(id, '%d+$')) or 0) > now then return true end
  end
  return false
end

-- Notes that this job has picked them, until its deadline.
local function note_picked(deadline)
  redis.call('ZREMRANGEBYSCORE', picked_key, '-inf', now)
  for _, id in ipairs(named) do redis.call('ZADD', picked_key, deadline, string.match(id, '%d+$')) end
  redis.call('PEXPIREAT', picked_key, redis.call('ZREVRANGE', picked_key, 0, 0, 'WITHSCORES')[2])
end

return accept(function(seats, pace, opens, has_room)
  if ARGV[14] == '' then  -- what is repeated was let in
    if now < opens then return {CODE.SALES_NOT_OPEN, now, opens, opens - now} end
    if has_room and tonumber(ARGV[15]) <= now then return {CODE.ADMISSION_REQUIRED, now} end
  end
  local code, found, wanted = against_hold(seats)
  if adjacent then
    if ARGV[17] ~= '1' and (code or #wanted < #seats or are_picked()) then return {CODE.PICK_AGAIN, now} end
    code, wanted = nil, seats
  end
  if code then return {code, now, unpack(found)} end
  local held = live_holds()
  if #wanted > 0 and held + #wanted > limit then return {CODE.LIMIT_REACHED, now, held, #wanted} end
  if redis.call('ZCARD', jobs_key) >= max_open then return {CODE.QUEUE_FULL, now} end
  open_job('HOLD_SEAT', now + deadline_ms, ARGV[14], adjacent)
  if adjacent then note_picked(now + deadline_ms) end
  return accepted(job_id, pace)
end)
