--[[ begin_delivery: takes a message to be sent now.
Guarantee: of several that want to send it at the same time one does, until it says what came of that, or may be lost;
nobody does before it is due, or once it has ended.
KEYS  1 event:{E}:webhooks hash, 2 to 5 the webhook's, as in remove_webhook
ARGV  1 webhook id, 2 entry, 3 how long an attempt may take, ms
Returns {OK, now ms, webhook as JSON, message as JSON, number of the attempt: when it counts as lost, ms}; {NOT_DUE} ]]
-- @include clock
-- @include webhooks
local webhooks_key, deliveries_key, due_key, busy_key = KEYS[1], KEYS[2], KEYS[4], KEYS[5]
local hook_id, entry = ARGV[1], ARGV[2]
local f = redis.call('HMGET', webhooks_key, hook_id, hook_id .. ':disabled')
local text = redis.call('HGET', deliveries_key, entry)
if not f[1] or f[2] or not text then return {CODE.NOT_DUE} end
local message = cjson.decode(text)
local due = tonumber(redis.call('ZSCORE', due_key, entry) or math.huge)
if message.status ~= 'pending' or due > now or (message.running or 0) > now then return {CODE.NOT_DUE} end
message.running = now + tonumber(ARGV[3])
redis.call('HSET', deliveries_key, entry, cjson.encode(message))
redis.call('ZADD', busy_key, score(message.running), entry)
return {CODE.OK, now, f[1], text, message.running}
