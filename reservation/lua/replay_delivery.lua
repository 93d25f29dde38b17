--[[ replay_delivery: has a message sent again, now, and as often as a new one if need be.
Guarantee: it stays the same message. One that is being sent just now is not sent twice at a time.
KEYS  1 event:{E}:webhooks hash, 2 to 5 the webhook's, as in remove_webhook
ARGV  1 webhook id, 2 entry
Returns {OK, message as JSON, when it is sent, ms}; {WEBHOOK_UNKNOWN}, {DELIVERY_UNKNOWN} ]]
-- @include clock
-- @include webhooks
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {CODE.WEBHOOK_UNKNOWN} end
local text = redis.call('HGET', KEYS[2], ARGV[2])
if not text then return {CODE.DELIVERY_UNKNOWN} end
local message = cjson.decode(text)
message.status, message.tried, message.endedAt = 'pending', 0, nil
text = cjson.encode(message)
redis.call('HSET', KEYS[2], ARGV[2], text)
redis.call('ZADD', KEYS[4], score(now), ARGV[2])
return {CODE.OK, text, now}
