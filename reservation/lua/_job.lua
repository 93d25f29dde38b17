-- What the scripts that open or end a job share. Beyond `_seats`:
--   KEYS[6] job:{E}-J      hash
--   KEYS[7] event:{E}:jobs zset
-- @include seats
local job_key, jobs_key = KEYS[6], KEYS[7]

-- The job; nil if there is none, or if it is about other seats or another user than the caller says.
-- One for the best seats is about so many, whichever: where those that it was entered with are gone, others do.
local function load_job()
  local f = redis.call('HMGET', job_key,
    'status', 'code', 'createdAt', 'deadline', 'seatId', 'user', 'reference', 'awaited', 'adjacent')
  if not f[1] or f[6] ~= user then return nil end
  if f[5] ~= ARGV[4] and not (f[9] and select(2, string.gsub(f[5], '%S+', '')) == #named) then return nil end
  local job = {
    code = tonumber(f[2] or 0), created = tonumber(f[3]), deadline = tonumber(f[4]),
    reference = f[7] or '', awaited = f[8], seats = f[5], adjacent = f[9],
  }
  job.ended = f[1] == 'completed' or f[1] == 'failed'
  return job
end

-- Enters the job in the ledger and gives it the next ticket. `retry_of`: the failed job that it repeats, or ''.
-- `adjacent`: of one for the best seats, whether they have to be together: required or preferred.
local function open_job(type, deadline, retry_of, adjacent)
  redis.call('HSET', job_key, 'type', type, 'status', 'waiting', 'seatId', ARGV[4], 'user', user,
    'request', request_id, 'createdAt', now, 'deadline', deadline, 'sentAt', now, 'attempts', 1)
  if retry_of ~= '' then redis.call('HSET', job_key, 'retryOf', retry_of) end
  if adjacent then redis.call('HSET', job_key, 'adjacent', adjacent) end
  redis.call('ZADD', jobs_key, redis.call('HINCRBY', event_key, 'tickets', 1), job_id)
end

-- Gives up what a job for the best seats has picked: it has its verdict.
local function give_up_picked(job, picked_key)
  for number in string.gmatch(job.seats, '%-(%d+)') do redis.call('ZREM', picked_key, number) end
end

-- The answer of an accept: the job's rank among the event's open jobs (0 = next), the event's pace (microseconds
-- between two ends, 0 = not measured yet), and ARGV[10], how long jobs wait for a worker, for who asks again.
local function accepted(id, pace)
  return {CODE.ACCEPTED, now, redis.call('ZRANK', jobs_key, id) or 0, tonumber(pace or 0), id, tonumber(ARGV[10])}
end

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
-- measures the event's pace: the time between two ends, counted from this job's arrival where
-- nothing waited before it; an exponential average, 1/16 each. A gap over 10 s is an outage and
-- says nothing about the pace. Where a job can fail, the script's last key before the seats' is event:{E}:failures.
local function end_job(job, status, code, result_ttl_ms, ...)
  if status == 'failed' then record_failure(code) end
  redis.call('HSET', job_key, 'status', status, 'code', code, 'completedAt', now, ...)
  redis.call('PEXPIRE', job_key, result_ttl_ms)
  redis.call('ZREM', jobs_key, job_id)
  local f = redis.call('HMGET', event_key, 'endedAt', 'pace')
  local gap = now_us - math.max(tonumber(f[1] or 0), job.created * 1000)
  local pace = tonumber(f[2] or gap)
  if gap < 10000000 then pace = pace + (gap - pace) / 16 end
  redis.call('HSET', event_key, 'endedAt', now_us, 'pace', math.floor(pace + 0.5))
  -- Tells who waits (await_job). A user of Redis's that may not publish gets no error here: the end is written.
  for channel in string.gmatch(job.awaited or '', '%S+') do redis.pcall('PUBLISH', channel, job_id) end
  return {code, now, job.created}
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
  else
    redis.call('ZREM', holder_key, seat.id)
    expire(seat)
  end
end
