-- What the scripts that open or end a job share. Beyond `_seats`:
--   KEYS[6] job:{E}-J      hash
--   KEYS[7] event:{E}:jobs zset
-- @include seats
-- @include turn
local job_key, jobs_key = KEYS[6], KEYS[7]

-- The job; nil if there is none, or if it is about other seats or another user than the caller says.
-- One for the best seats is about so many, whichever: where those that it was entered with are gone, others do.
local function load_job()
  local f = redis.call('HMGET', job_key,
    'status', 'code', 'createdAt', 'deadline', 'seatId', 'user', 'reference', 'awaited', 'adjacent', 'notBefore')
  if not f[1] or f[6] ~= user then return nil end
  if f[5] ~= ARGV[4] and not (f[9] and select(2, string.gsub(f[5], '%S+', '')) == #named) then return nil end
  local job = {
    code = tonumber(f[2] or 0), since = tonumber(f[10] or f[3]), deadline = tonumber(f[4]),
    reference = f[7] or '', awaited = f[8], seats = f[5], adjacent = f[9], later = f[10],
  }
  job.ended = f[1] == 'completed' or f[1] == 'failed'
  -- What there is to know of the event, in one call: each takes longer than what it asks for.
  local event = redis.call('HMGET', event_key, 'closesAt', 'endedAt', 'pace')
  job.closes, job.ended_before, job.pace = tonumber(event[1] or math.huge), tonumber(event[2] or 0), tonumber(event[3])
  return job
end

-- Enters the job in the ledger and gives it the next ticket, or, where its time has not come, lets it wait for one.
--   retry_of    the failed job that it repeats, or ''
--   priority    'vip', or ''
--   not_before  when it may be carried out at the earliest, ms
--   adjacent    of one for the best seats, whether they have to be together: required or preferred
local function open_job(type, deadline, retry_of, priority, not_before, adjacent)
  redis.call('HSET', job_key, 'type', type, 'status', 'waiting', 'seatId', ARGV[4], 'user', user,
    'request', request_id, 'createdAt', now, 'deadline', deadline,
    'sentAt', math.max(now, not_before), 'attempts', 1)
  if retry_of ~= '' then redis.call('HSET', job_key, 'retryOf', retry_of) end
  if adjacent then redis.call('HSET', job_key, 'adjacent', adjacent) end
  if priority ~= '' then redis.call('HSET', job_key, 'priority', priority) end
  if not_before > now then redis.call('HSET', job_key, 'notBefore', not_before) end
  redis.call('ZADD', jobs_key, not_before > now and LATER + not_before or ticket(event_key, priority), job_id)
end

-- Gives up what a job for the best seats has picked: it has its verdict. One for later has left that to the others.
local function give_up_picked(job, picked_key)
  if job.later then return end
  for number in string.gmatch(job.seats, '%-(%d+)') do redis.call('ZREM', picked_key, number) end
end

-- The answer of an accept: the job's rank among the event's open jobs (0 = next), the event's pace (microseconds
-- between two ends, 0 = not measured yet), ARGV[10], how long jobs wait for a worker, for who asks again; and its time,
-- if that has not come.
local function accepted(id, pace, not_before)
  local answer = {CODE.ACCEPTED, now, rank_of(jobs_key, id) or 0, tonumber(pace or 0), id, tonumber(ARGV[10])}
  if not_before > now then answer[7] = not_before end
  return answer
end

-- The time of a job that was accepted before, if that has not come; otherwise less than nothing.
local function time_of(id) return (redis.call('ZSCORE', jobs_key, id) or 0) - LATER end

-- One entry in the event's list of failures, with the numbers of the job's seats, for webhooks. It is no change of a
-- seat, so it has no place among those: who reads them counts on one for each number.
local function record_failure(code)
  local failures_key = KEYS[keys_before]
  redis.call('XADD', failures_key, 'MINID', '~', string.format('%.0f', now - retention_ms), '*',
    'seq', redis.call('HINCRBY', event_key, 'failures', 1), 'seat', (string.gsub(ARGV[4], '%w+%-', '')),
    'cause', 'job-failed', 'actor', actor, 'job', job_id, 'request', request_id, 'code', code)
  redis.call('PEXPIRE', failures_key, retention_ms)
end

-- Writes the job's end (the arguments after `code` are more fields of its ledger entry) and
-- measures the event's pace: the time between two ends, counted from when this job could begin where
-- nothing waited before it; an exponential average, 1/16 each. A gap over 10 s is an outage and
-- says nothing about the pace. Where a job can fail, the script's last key before the seats' is event:{E}:failures.
local function end_job(job, status, code, result_ttl_ms, ...)
  if status == 'failed' then record_failure(code) end
  redis.call('HSET', job_key, 'status', status, 'code', code, 'completedAt', now, ...)
  redis.call('PEXPIRE', job_key, result_ttl_ms)
  redis.call('ZREM', jobs_key, job_id)
  local gap = now_us - math.max(job.ended_before, job.since * 1000)
  local pace = job.pace or gap
  if gap < 10000000 then pace = pace + (gap - pace) / 16 end
  redis.call('HSET', event_key, 'endedAt', now_us, 'pace', math.floor(pace + 0.5))
  -- Tells who waits (await_job). A user of Redis's that may not publish gets no error here: the end is written.
  for channel in string.gmatch(job.awaited or '', '%S+') do redis.pcall('PUBLISH', channel, job_id) end
  return {code, now, job.since}
end

-- What the ledger keeps of a refusal: of several seats, which are in the way.
local function against(found)
  if #named > 1 then return 'against', table.concat(found, ' ') end
end

-- Takes back the pin that this job put on a hold. What remains is the hold as it was.
local function unpin(seat)
  if seat.status ~= 'On hold' or seat.reserve_job ~= job_id or seat.reserving == 0 then return end
  if seat.expires > now then
    redis.call('HDEL', seat.key, 'reservingUntil')
    set_hold_end(seat, seat.expires)
    expire_holder()
  else
    redis.call('ZREM', holder_key, seat.id)
    expire(seat)
  end
end
