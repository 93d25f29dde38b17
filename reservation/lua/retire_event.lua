--[[ retire_event: whether an event's time is over; and removes its hash, so that there is no such event any more.
Guarantee: it is removed only if nothing has changed since the caller asked, which may have archived it meanwhile.
Nothing can be done about it from then on, so what is left of it can be removed piece by piece.
KEYS  1 event:{E} hash, 2 event:{E}:holds zset, 3 event:{E}:jobs zset
ARGV  1 how long an event is kept after its sale has ended, ms; 2 number of its changes when the caller asked, or ''
      to ask
Returns {1 if its time is over, or it was removed, else 0; number of its changes} ]]
-- @include clock
local f = redis.call('HMGET', KEYS[1], 'closesAt', 'version')
local closes, version = tonumber(f[1] or math.huge), tonumber(f[2] or 0)
local busy = redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3])
if now < closes + ARGV[1] or busy > 0 then return {0, version} end
if ARGV[2] ~= '' then
  if tonumber(ARGV[2]) ~= version then return {0, version} end
  redis.call('UNLINK', KEYS[1])
end
return {1, version}
