--[[ remove_webhook: removes a webhook and its messages.
Guarantee: both go together; with the last one, how far the event was followed.
KEYS  1 event:{E}:webhooks hash, 2 to 5 the webhook's: messages hash, :log, :due and :busy zsets
ARGV  1 webhook id
Returns {OK}; {WEBHOOK_UNKNOWN} ]]
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return {CODE.WEBHOOK_UNKNOWN} end
redis.call('HDEL', KEYS[1], ARGV[1] .. ':disabled', ARGV[1] .. ':failing', ARGV[1] .. ':made')
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.find(field, '^wh_%w+$') then return {CODE.OK} end
end
redis.call('DEL', KEYS[1])
return {CODE.OK}
