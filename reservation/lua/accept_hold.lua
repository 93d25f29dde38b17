--[[ accept_hold: enters a hold job in the ledger if its seats could be held now.
Guarantee: the job is in the ledger with its place in the queue, or nothing was written. Run again
with the same job id, or for the same request of a client, it answers the same. This is only the early no: `hold`
decides.
KEYS  1 to 8 as in _accept; for the best seats, and if ARGV[17] is not 0, 9 event:{E}:later:<uuid> zset (job and place
      of the seat in it, by when that may be carried out), 10 event:{E}:picked zset; and the seats'
ARGV  1 to 9 as in _accept, then 10 ms that jobs wait for a worker;
      11 deadline, ms from when it may be carried out; 12 most seats a user may hold; 13 most open jobs;
      14 the failed job that this one repeats, or ''; 15 until when the user is admitted, ms, or 0;
      16 'vip', or ''; 17 when it may be carried out at the earliest, ms, or 0; 18 how far ahead that may be, ms;
      19 for the best seats: required or preferred (open_job); 20 1 if they may be gone: the job gets others then
Returns {ACCEPTED, now ms, rank, pace µs, job id, ARGV 10}, and ARGV 17 if that is ahead; {LIMIT_REACHED, now ms,
      held, requested}, and 1 if these are to be held later; {SALES_NOT_OPEN, now ms, opening ms, ms until then}; {EVENT_CLOSED, now ms, closing ms, ms
      since then}; {DELAY_TOO_LONG, now ms, latest ms}; {code, now ms, seats in the way…} with SEAT_HELD,
      SEAT_RESERVED, SEAT_BLOCKED; {code, now ms} with ADMISSION_REQUIRED, EVENT_UNKNOWN, SEAT_UNKNOWN, QUEUE_FULL,
      TOO_LATE, KEY_REUSED, PICK_AGAIN (some of the best seats are gone, or another open job has picked them); 1000
      more than the code if it is what was answered before ]]
-- @include clock
-- @include accept
-- @include hold
local deadline_ms, limit, max_open = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local not_before, adjacent = tonumber(ARGV[17]), ARGV[19]
local later_key, picked_key = KEYS[9], KEYS[10]

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

-- Why a job for now cannot be.
local function against_now(seats)
  local code, found, wanted = against_hold(seats)
  if adjacent then
    if ARGV[20] ~= '1' and (code or #wanted < #seats or are_picked()) then return {CODE.PICK_AGAIN, now} end
    code, wanted = nil, seats
  end
  if code then return {code, now, unpack(found)} end
  local held = live_holds()
  if #wanted > 0 and held + #wanted > limit then return {CODE.LIMIT_REACHED, now, held, #wanted} end
end

-- Notes how many seats the user has asked for, until the job's time has come.
local function note_later()
  for i in ipairs(named) do redis.call('ZADD', later_key, not_before, job_id .. ' ' .. i) end
  redis.call('ZREMRANGEBYSCORE', later_key, '-inf', now)
  redis.call('PEXPIREAT', later_key, redis.call('ZREVRANGE', later_key, 0, 0, 'WITHSCORES')[2])
end

-- Why one for later cannot be: of seats and holds nothing is certain yet, but nobody may ask for more than they may
-- hold. Half of the room is for those for now.
local function against_later(latest)
  if not_before > latest then return {CODE.DELAY_TOO_LONG, now, latest} end
  local asked = redis.call('ZCOUNT', later_key, string.format('(%.0f', now), '+inf')
  if asked + #named > limit then return {CODE.LIMIT_REACHED, now, asked, #named, 1} end
  if redis.call('ZCOUNT', jobs_key, LATER, '+inf') >= max_open / 2 then return {CODE.QUEUE_FULL, now} end
end

return accept(function(seats, pace, opens, has_room, closes)
  if now >= closes then return {CODE.EVENT_CLOSED, now, closes, now - closes} end
  local admitted_until = math.huge
  if ARGV[14] == '' then  -- what is repeated was let in
    if now < opens then return {CODE.SALES_NOT_OPEN, now, opens, opens - now} end
    if has_room then admitted_until = tonumber(ARGV[15]) end
    if admitted_until <= now then return {CODE.ADMISSION_REQUIRED, now} end
  end
  local later, refused = not_before > now, nil
  if later then
    refused = against_later(math.min(now + ARGV[18], closes - 1, admitted_until - 1))
  else
    refused = against_now(seats)
  end
  if refused then return refused end
  if redis.call('ZCARD', jobs_key) >= max_open then return {CODE.QUEUE_FULL, now} end
  local deadline = math.max(now, not_before) + deadline_ms
  open_job('HOLD_SEAT', deadline, ARGV[14], ARGV[16], not_before, adjacent)
  if later then note_later() elseif adjacent then note_picked(deadline) end
  return accepted(job_id, pace, not_before)
end)
