--[[ fleet: which processes are alive, and how long jobs wait before they start. Writes nothing.
KEYS  1 workers zset, 2 sweepers zset, 3 queue-lag string, 4 the same of VIP jobs
Returns {live workers, live sweepers, lag ms, lag of VIP jobs ms} ]]
-- @include clock
local since = string.format('(%.0f', now)
return {redis.call('ZCOUNT', KEYS[1], since, '+inf'), redis.call('ZCOUNT', KEYS[2], since, '+inf'),
  tonumber(redis.call('GET', KEYS[3]) or 0), tonumber(redis.call('GET', KEYS[4]) or 0)}
