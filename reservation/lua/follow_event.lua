--[[ follow_event: makes messages of what has happened in an event, takes those that are due, and drops old ones.
Guarantee: of each change since the last call one message for each webhook that asked for its type, made together with
the note that the change was seen: however often it runs, and wherever, none twice and none left out, but for those that
the stream does not have any more, which are counted.
KEYS  1 event:{E} hash, 2 event:{E}:changes stream, 3 event:{E}:failures stream, 4 event:{E}:webhooks hash, then four for
      each webhook, as in remove_webhook
ARGV  1 most entries of each stream, 2 how long messages are kept, ms, 3 how many that have ended, 4 most of a webhook to
      be sent at a time, 5 how long a claim holds, ms, 6 and so on webhook ids
Returns {OK, changes that were missed, 1 if there is more, ids of the messages that the caller shall have sent};
      {WEBHOOKS_CHANGED} if the webhooks are others ]]
-- @include clock
-- @include webhooks
local event_key, webhooks_key = KEYS[1], KEYS[4]
local most, kept_ms, kept, most_busy, claim_ms =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local TYPES = {reserved = 'seat.reserved', released = 'seat.released', expired = 'seat.expired',
  cancelled = 'seat.cancelled', blocked = 'seat.blocked', unblocked = 'seat.unblocked', ['job-failed'] = 'job.failed'}

local fields, all = {}, redis.call('HGETALL', webhooks_key)
for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
local hooks, known = {}, {}
for i = 6, #ARGV do known[ARGV[i]] = i - 5 end
for field, value in pairs(fields) do
  if string.find(field, '^wh_%w+$') then
    if not known[field] then return {CODE.WEBHOOKS_CHANGED} end
    local hook = cjson.decode(value)
    hook.id, hook.place, hook.types = field, known[field], ' ' .. hook.types .. ' '
    if not fields[field .. ':disabled'] then hooks[#hooks + 1] = hook end
    known[field] = nil
  end
end
if next(known) then return {CODE.WEBHOOKS_CHANGED} end

local function tell(hook, entry, type, change)
  local i = hook.place
  local deliveries_key, log_key, due_key = KEYS[4 * i + 1], KEYS[4 * i + 2], KEYS[4 * i + 3]
  local message = {type = type, seat = change.seat, actor = change.actor, status = 'pending', attempts = 0, tried = 0}
  if type == 'job.failed' then
    message.job, message.code = change.job, tonumber(change.code)
  else
    message.sequence = tonumber(change.seq)
  end
  redis.call('HSET', deliveries_key, entry, cjson.encode(message))
  redis.call('ZADD', log_key, redis.call('HINCRBY', webhooks_key, hook.id .. ':made', 1), entry)
  redis.call('ZADD', due_key, score(now), entry)
end

local missed, more = 0, 0
local function follow(stream_key, field, last_number, mark)
  local position, number = string.match(fields[field] or '0-0 0', '(%S+) (%d+)')
  number = tonumber(number)
  local entries = redis.call('XRANGE', stream_key, '(' .. position, '+', 'COUNT', most)
  for _, entry in ipairs(entries) do
    position = entry[1]
    local change = {}
    for i = 1, #entry[2], 2 do change[entry[2][i]] = entry[2][i + 1] end
    local its_number = tonumber(change.seq)
    missed = missed + math.max(0, its_number - number - 1)
    number = its_number
    local type = TYPES[change.cause]
    for _, hook in ipairs(type and hooks or {}) do
      if its_number > hook[field] and string.find(hook.types, ' ' .. type .. ' ', 1, true) then
        tell(hook, string.gsub(position, '-', '-' .. mark, 1), type, change)
      end
    end
  end
  if #entries == most then
    more = 1
  else
    missed = missed + math.max(0, last_number - number)
    number = last_number
  end
  local seen = position .. ' ' .. score(number)
  if seen ~= fields[field] then redis.call('HSET', webhooks_key, field, seen) end
end

local function drop_old(i)
  local deliveries_key, log_key, due_key, busy_key = KEYS[4 * i + 1], KEYS[4 * i + 2], KEYS[4 * i + 3], KEYS[4 * i + 4]
  local too_many = redis.call('ZCARD', log_key) - kept
  local oldest = redis.call('ZRANGE', log_key, 0, 0)[1]
  local function is_old(entry) return now - tonumber(string.match(entry, '^%d+')) > kept_ms end
  if not oldest or (too_many <= 0 and not is_old(oldest)) then return end
  for at, entry in ipairs(redis.call('ZRANGE', log_key, 0, most - 1)) do
    if is_old(entry) or (at <= too_many and not redis.call('ZSCORE', due_key, entry)) then
      redis.call('HDEL', deliveries_key, entry)
      redis.call('ZREM', log_key, entry)
      redis.call('ZREM', due_key, entry)
      redis.call('ZREM', busy_key, entry)
    end
  end
end

if next(fields) then
  local f = redis.call('HMGET', event_key, 'version', 'failures')
  follow(KEYS[2], 'changes', tonumber(f[1] or 0), '')
  follow(KEYS[3], 'failures', tonumber(f[2] or 0), 'f')
end
local reply = {CODE.OK, missed, more}
for i = 1, #ARGV - 5 do
  local due_key, busy_key = KEYS[4 * i + 3], KEYS[4 * i + 4]
  drop_old(i)
  for _, id in ipairs(claim(webhooks_key, due_key, busy_key, ARGV[i + 5], most_busy, claim_ms)) do
    reply[#reply + 1] = id
  end
end
return reply
