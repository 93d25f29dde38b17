--[[ find_dead: which workers of a queue have not been heard of for long. Forgets dead letters that are too old.
KEYS  1 __heartbeats__ zset (worker id, when it was heard of, ms), 2 .XQ zset (dead letters, by when they became
      so, ms), 3 .XQ.msgs hash
ARGV  1 heard of last before, ms; 2 dead letters since before, ms
Returns the workers' ids ]]
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[2], 'LIMIT', 0, 100)
if #old > 0 then
  redis.call('ZREM', KEYS[2], unpack(old))
  redis.call('HDEL', KEYS[3], unpack(old))
end
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)
