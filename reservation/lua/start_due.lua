--[[ start_due: gives jobs their tickets whose time has come. Their messages are to be sent now; one that is not is lost
as any other may be, and sent again.
Guarantee: of several sweepers that name a job, one gets it; none before its time.
KEYS  1 event:{E} hash, 2 event:{E}:jobs zset, then for each job its hash
ARGV  the job ids, in the order of their keys
Returns the ids of those that have got one now ]]
-- @include clock
-- @include turn
local event_key, jobs_key = KEYS[1], KEYS[2]
local started = {}
for i, job_id in ipairs(ARGV) do
  local job_key = KEYS[i + 2]
  local place = tonumber(redis.call('ZSCORE', jobs_key, job_id) or 0)
  if place >= LATER and place <= LATER + now then
    redis.call('ZADD', jobs_key, ticket(event_key, redis.call('HGET', job_key, 'priority')), job_id)
    redis.call('HSET', job_key, 'sentAt', now)
    started[#started + 1] = job_id
  end
end
return started
