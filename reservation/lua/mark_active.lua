--[[ mark_active: shows that a worker is busy with a job. Best effort, decides nothing.
KEYS  1 job:{E}-J hash
Returns 1 if the job was waiting, else 0 ]]
if redis.call('HGET', KEYS[1], 'status') ~= 'waiting' then return 0 end
redis.call('HSET', KEYS[1], 'status', 'active')
return 1
