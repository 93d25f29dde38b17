--[[ claim_resend: takes the right to send an open job's message once more.
Guarantee: of several sweepers that saw the same `sentAt`, one gets it.
KEYS  1 job:{E}-J hash
ARGV  1 the `sentAt` that the caller saw, ms
Returns 1 if the caller shall send, else 0 ]]
-- @include clock
local f = redis.call('HMGET', KEYS[1], 'status', 'sentAt')
if (f[1] ~= 'waiting' and f[1] ~= 'active') or f[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'sentAt', now)
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
return 1
