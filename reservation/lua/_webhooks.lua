-- What the scripts about webhooks share. `_clock` is included before.
--
-- event:{E}:webhooks, a hash:
--   wh_<id>            the webhook as JSON: url, secret, types (a string with spaces), createdAt; changes and failures,
--                      the numbers of the last ones that were there before it
--   wh_<id>:disabled   why nothing is sent to it: by-request, gone, failing
--   wh_<id>:failing    since when nothing has arrived, ms
--   wh_<id>:made       how many messages it has had
--   changes, failures  the last entry of each stream that messages were made of, as <entry> <number>
--
-- A message as JSON: type, seat (its number; of a failed job those of all its seats), sequence, actor, job, code; status,
-- attempts; tried, the attempts since it was made or asked for again; statusCode, error: of the last one; running, when
-- the attempt under way counts as lost, ms; endedAt ms.

-- A time, or another whole number, as a score: Lua would write a large one with an exponent.
local function score(number) return string.format('%.0f', number) end

-- Takes messages that are due, so that nobody else sends them: `most` at a time of one webhook, but one where nothing
-- arrives, so that who answers slowly keeps few of our threads. A claim lapses after `claim_ms`: it may have been lost.
local function claim(webhooks_key, due_key, busy_key, hook_id, most, claim_ms)
  local f = redis.call('HMGET', webhooks_key, hook_id, hook_id .. ':disabled', hook_id .. ':failing')
  if not f[1] or f[2] then return {} end
  if f[3] then most = math.min(most, 1) end
  redis.call('ZREMRANGEBYSCORE', busy_key, '-inf', score(now))
  local busy, taken = {}, redis.call('ZRANGE', busy_key, 0, -1)
  for _, entry in ipairs(taken) do busy[entry] = true end
  local claimed, free = {}, most - #taken
  if free <= 0 then return claimed end
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', due_key, '-inf', score(now), 'LIMIT', 0, most)) do
    if not busy[entry] and #claimed < free then
      redis.call('ZADD', busy_key, score(now + claim_ms), entry)
      claimed[#claimed + 1] = hook_id .. '-' .. entry
    end
  end
  return claimed
end
