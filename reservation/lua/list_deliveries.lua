--[[ list_deliveries: a webhook's messages, the newest first. Writes nothing.
KEYS  1 event:{E}:webhooks hash, 2 to 5 the webhook's, as in remove_webhook
ARGV  1 webhook id, 2 entry that those wanted follow, or '', 3 most messages, 4 status that they have, or '', 5 most to be
      looked at
Returns {OK, entry that the next page follows, or '', then three for each message: entry, message as JSON, when it is
      sent, ms, or 0}; {WEBHOOK_UNKNOWN}, {DELIVERY_UNKNOWN} if there is no such entry ]]
local webhooks_key, deliveries_key, log_key, due_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local after, most, status = ARGV[2], tonumber(ARGV[3]), ARGV[4]
if redis.call('HEXISTS', webhooks_key, ARGV[1]) == 0 then return {CODE.WEBHOOK_UNKNOWN} end
local before = '+inf'
if after ~= '' then
  local number = redis.call('ZSCORE', log_key, after)
  if not number then return {CODE.DELIVERY_UNKNOWN} end
  before = '(' .. number
end
-- One more than is looked at: whether there is another page.
local entries = redis.call('ZREVRANGEBYSCORE', log_key, before, '-inf', 'LIMIT', 0, tonumber(ARGV[5]) + 1)
local reply, found = {CODE.OK, ''}, 0
for i, entry in ipairs(entries) do
  if found == most or i > tonumber(ARGV[5]) then
    reply[2] = entries[i - 1]
    break
  end
  local text = redis.call('HGET', deliveries_key, entry)
  if status == '' or cjson.decode(text).status == status then
    found = found + 1
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] =
      entry, text, tonumber(redis.call('ZSCORE', due_key, entry) or 0)
  end
end
return reply
