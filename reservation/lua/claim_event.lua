--[[ claim_event: makes one event of the requests for it that have the same Idempotency-Key.
Guarantee: all that have the same content get the same secret, from which the event's id is made; of those that come
at the same time one is the first.
KEYS  1 idempotency:{<digest>} string: fingerprint, secret, when it was claimed, ms
ARGV  1 fingerprint of the request's content, 22 characters; 2 secret for a new record, 22 characters; 3 how long the
      record is kept, ms; 4 how long a claim keeps others off, ms
Returns {CLAIMED, secret, 1 if another request claimed it a moment ago, else 0}; {KEY_REUSED} for another content ]]
-- @include clock
local record = redis.call('GET', KEYS[1])
local secret, claimed = ARGV[2], 0
if record then
  if string.sub(record, 1, 22) ~= ARGV[1] then return {CODE.KEY_REUSED} end
  secret, claimed = string.sub(record, 23, 44), tonumber(string.sub(record, 45))
  -- With its own secret it is merely run again.
  if secret ~= ARGV[2] and now - claimed < tonumber(ARGV[4]) then return {CODE.CLAIMED, secret, 1} end
end
local text = string.format('%s%s%.0f', ARGV[1], secret, now)
if record then redis.call('SET', KEYS[1], text, 'KEEPTTL') else redis.call('SET', KEYS[1], text, 'PX', ARGV[3]) end
return {CODE.CLAIMED, secret, 0}
