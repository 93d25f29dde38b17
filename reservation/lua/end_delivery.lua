--[[ end_delivery: writes what came of an attempt, and takes the webhook's next messages that are due.
Guarantee: a message that has arrived is not sent again; an attempt that counts as lost, and was made again, is not
counted.
KEYS  1 event:{E}:webhooks hash, 2 to 5 the webhook's, as in remove_webhook
ARGV  1 webhook id, 2 entry, 3 number of the attempt, 4 1 if it has arrived, else 0, 5 status code, or '', 6 why there is
      none, or '', 7 when to send it again: in so many ms; -1: never, 8 1 if nothing shall be sent there any more, else 0,
      9 how long nothing may arrive until that is so, ms, 10 most to be sent at a time, 11 how long a claim holds, ms
Returns {OK, why the webhook was disabled just now, or '', ids of the messages that the caller shall have sent};
      {NOT_DUE} if it was not this attempt's to say ]]
-- @include clock
-- @include webhooks
local webhooks_key, deliveries_key, due_key, busy_key = KEYS[1], KEYS[2], KEYS[4], KEYS[5]
local hook_id, entry, arrived, again_ms = ARGV[1], ARGV[2], ARGV[4] == '1', tonumber(ARGV[7])
local text = redis.call('HGET', deliveries_key, entry)
if not text or redis.call('HEXISTS', webhooks_key, hook_id) == 0 then return {CODE.NOT_DUE} end
local message = cjson.decode(text)
if message.status ~= 'pending' then return {CODE.NOT_DUE} end
if not arrived and message.running ~= tonumber(ARGV[3]) then return {CODE.NOT_DUE} end

message.running = nil
message.attempts, message.tried = message.attempts + 1, message.tried + 1
message.statusCode, message.error = tonumber(ARGV[5]), ARGV[6] ~= '' and ARGV[6] or nil
local disabled = ''
if arrived then
  message.status, message.endedAt = 'delivered', now
  redis.call('HDEL', webhooks_key, hook_id .. ':failing')
else
  redis.call('HSETNX', webhooks_key, hook_id .. ':failing', score(now))
  if again_ms < 0 then message.status, message.endedAt = 'failed', now end
  local since = tonumber(redis.call('HGET', webhooks_key, hook_id .. ':failing'))
  if ARGV[8] == '1' then
    disabled = 'gone'
  elseif again_ms < 0 and now - since >= tonumber(ARGV[9]) then
    disabled = 'failing'
  end
  if disabled ~= '' and redis.call('HSETNX', webhooks_key, hook_id .. ':disabled', disabled) == 0 then disabled = '' end
end
redis.call('HSET', deliveries_key, entry, cjson.encode(message))
redis.call('ZREM', busy_key, entry)
if message.status == 'pending' then
  redis.call('ZADD', due_key, score(now + again_ms), entry)
else
  redis.call('ZREM', due_key, entry)
end
return {CODE.OK, disabled, unpack(claim(webhooks_key, due_key, busy_key, hook_id, tonumber(ARGV[10]), tonumber(ARGV[11])))}
