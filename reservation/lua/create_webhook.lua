--[[ create_webhook: adds a webhook to an event.
Guarantee: an event has no more than it may; the first one is told what happens from now on, and each later one too.
Sent again with its key, a request adds nothing.
KEYS  1 event:{E} hash, 2 event:{E}:webhooks hash, 3 event:{E}:changes stream, 4 event:{E}:failures stream,
      5 event:{E}:once:<digest> string, or nothing
ARGV  1 webhook id, 2 url, 3 secret, 4 types with spaces between them, 5 most webhooks, 6 fingerprint of the request and
      7 how long its record is kept, ms, if it has a key
Returns {OK, now ms, webhook id, secret, createdAt ms}, with code + 1000 if it was answered before; {code, now ms} with
      EVENT_UNKNOWN, WEBHOOK_LIMIT, KEY_REUSED ]]
-- @include clock
-- @include once
local event_key, webhooks_key = KEYS[1], KEYS[2]

local function last(stream_key, number)
  local entries = redis.call('XREVRANGE', stream_key, '+', '-', 'COUNT', 1)
  return (entries[1] and entries[1][1] or '0-0') .. ' ' .. number
end

return once(KEYS[5], ARGV[6], ARGV[7], function()
  local f = redis.call('HMGET', event_key, 'version', 'failures')
  if not f[1] then return {CODE.EVENT_UNKNOWN, now} end
  local changes, failures = tonumber(f[1]), tonumber(f[2] or 0)
  local count = 0
  for _, field in ipairs(redis.call('HKEYS', webhooks_key)) do
    if string.find(field, '^wh_%w+$') then count = count + 1 end
  end
  if count >= tonumber(ARGV[5]) then return {CODE.WEBHOOK_LIMIT, now} end
  if count == 0 then
    redis.call('HSET', webhooks_key, 'changes', last(KEYS[3], changes), 'failures', last(KEYS[4], failures))
  end
  local hook = {url = ARGV[2], secret = ARGV[3], types = ARGV[4], createdAt = now, changes = changes, failures = failures}
  redis.call('HSET', webhooks_key, ARGV[1], cjson.encode(hook))
  return {CODE.OK, now, ARGV[1], ARGV[3], now}
end)
