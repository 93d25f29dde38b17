--[[ totals: what all processes have counted, and the last failed jobs. Writes nothing.
KEYS  1 tally hash, 2 failed list
Returns {now ms, {field, count, ...}, {job, ...}}, the newest job first ]]
-- @include clock
return {now, redis.call('HGETALL', KEYS[1]), redis.call('LRANGE', KEYS[2], 0, -1)}
