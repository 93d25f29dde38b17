--[[ await_job: one job as it is now, whose end shall be told.
Guarantee: if the job reads as open, whichever script ends it publishes its id to the channel, once.
KEYS  as in _read_job
ARGV  1 job id; 2 channel, without spaces, of which no other is a part
Returns as _read_job ]]
-- @include clock
-- @include read_job
local job = redis.call('HMGET', KEYS[1], 'status', 'code', 'awaited')
local awaited = job[3] or ''
if job[1] and not job[2] and not string.find(awaited, ARGV[2], 1, true) then
  redis.call('HSET', KEYS[1], 'awaited', awaited .. ARGV[2] .. ' ')
end
return read_job()
