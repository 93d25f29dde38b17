--[[ take_over: gives the messages that a dead worker had in hand back to their queue.
Guarantee: each once; none of a worker that has been heard of since. A message that was acknowledged is not given back.
KEYS  1 __heartbeats__ zset; then of the queue and of its delayed messages each: 2, 5 list, 3, 6 .msgs hash,
      4, 7 __acks__ set of the worker
ARGV  1 worker id, 2 heard of last before, ms
Returns how many were given back ]]
local heard = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not heard or tonumber(heard) > tonumber(ARGV[2]) then return 0 end
local given = 0
for i = 2, 5, 3 do
  for _, id in ipairs(redis.call('SMEMBERS', KEYS[i + 2])) do
    if redis.call('HEXISTS', KEYS[i + 1], id) == 1 then
      redis.call('RPUSH', KEYS[i], id)
      given = given + 1
    end
  end
  redis.call('DEL', KEYS[i + 2])
end
redis.call('ZREM', KEYS[1], ARGV[1])
return given
