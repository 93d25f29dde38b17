--[[ heartbeat: says that a process is alive, by the server's clock, and adds what it has counted to what all have.
Guarantee: a batch of counts that is sent again is added once; it is known by its number for as long as ARGV[6] says.
KEYS  1 workers or sweepers zset (process id, by when its word lapses), 2 queue-lag string, 3 the same of VIP jobs,
      4 tally hash, 5 failed list, 6 told string (number of the process's last batch, PX)
ARGV  1 process id, 2 how long the word holds ms, 0 if the process goes, 3 ms that jobs wait before a worker starts them,
      -1 if unknown, 4 the same of VIP jobs, 5 how many failed jobs are kept, 6 how long a batch is remembered ms,
      7 number of the batch, 0 if there is none, 8 how many fields it has, then each field and what is added, then failed
      jobs, oldest first
Returns how many processes are alive ]]
-- @include clock
local holds_ms, batch, fields = tonumber(ARGV[2]), tonumber(ARGV[7]), tonumber(ARGV[8])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if holds_ms > 0 then
  redis.call('ZADD', KEYS[1], now + holds_ms, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
for i = 2, 3 do
  if tonumber(ARGV[i + 1]) >= 0 then redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[2]) end
end
if batch > 0 and batch > tonumber(redis.call('GET', KEYS[6]) or 0) then
  local failed = 9 + 2 * fields
  for i = 9, failed - 1, 2 do redis.call('HINCRBY', KEYS[4], ARGV[i], ARGV[i + 1]) end
  for i = failed, #ARGV do redis.call('LPUSH', KEYS[5], ARGV[i]) end
  if failed <= #ARGV then redis.call('LTRIM', KEYS[5], 0, ARGV[5] - 1) end
  redis.call('SET', KEYS[6], batch, 'PX', ARGV[6])
end
return redis.call('ZCARD', KEYS[1])
