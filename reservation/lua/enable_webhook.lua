--[[ enable_webhook: says whether messages are sent to a webhook.
Guarantee: what it was disabled for before stays if it is disabled again; enabled, it counts as one that works.
KEYS  1 event:{E}:webhooks hash
ARGV  1 webhook id, 2 1 to enable it, 0 not to
Returns {OK}; {WEBHOOK_UNKNOWN} ]]
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {CODE.WEBHOOK_UNKNOWN} end
if ARGV[2] == '1' then
  redis.call('HDEL', KEYS[1], ARGV[1] .. ':disabled', ARGV[1] .. ':failing')
else
  redis.call('HSETNX', KEYS[1], ARGV[1] .. ':disabled', 'by-request')
end
return {CODE.OK}
