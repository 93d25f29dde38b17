--[[ heartbeat: says that a process is alive, by the server's clock.
KEYS  1 workers or sweepers zset (process id, by when its word lapses), 2 queue-lag string
ARGV  1 process id, 2 how long the word holds ms, 3 ms that jobs wait before a worker starts them,
      -1 if unknown
Returns how many processes are alive ]]
-- @include clock
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
if tonumber(ARGV[3]) >= 0 then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]) end
return redis.call('ZCARD', KEYS[1])
