--[[ change_event: changes when an event's sale begins and ends.
Guarantee: it begins before it ends, or it is ended; nobody who was told when they are admitted is told otherwise. A time
that is past means now, and an end that has been stays when it was.
KEYS  1 event:{E} hash, 2 event:{E}:early zset
ARGV  1 when the sale begins, ms, or '' to leave that; 2 when it ends, ms, '' to leave that, or 'never'; then fields
Returns {OK, now ms, {values of the fields}}; {code, now ms} with EVENT_UNKNOWN,
      WRONG_TIMES (it would end before it begins), OPENING_FIXED (it has begun; or tickets have been drawn, and it would
      begin later: they might lapse before) ]]
-- @include clock
local f = redis.call('HMGET', KEYS[1], 'id', 'createdAt', 'opensAt', 'closesAt', 'nextSlot')
if not f[1] then return {CODE.EVENT_UNKNOWN, now} end
local opens, closes = tonumber(f[3] or f[2]), tonumber(f[4] or math.huge)

local function text(time) return string.format('%.0f', time) end

local set = {}
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= opens and not (tonumber(ARGV[1]) <= now and opens <= now) then
  local later = tonumber(ARGV[1]) > opens
  if now >= opens or f[5] or (later and redis.call('ZCARD', KEYS[2]) > 0) then return {CODE.OPENING_FIXED, now} end
  opens = math.max(tonumber(ARGV[1]), now)
  set = {'opensAt', text(opens)}
end
local ended = false
if ARGV[2] == 'never' then
  closes = math.huge
elseif ARGV[2] ~= '' and not (tonumber(ARGV[2]) <= now and closes <= now) then
  ended = tonumber(ARGV[2]) <= now
  closes = math.max(tonumber(ARGV[2]), now)
  set[#set + 1], set[#set + 2] = 'closesAt', text(closes)
end
if not ended and closes <= opens and closes > now then return {CODE.WRONG_TIMES, now} end

if ARGV[2] == 'never' then redis.call('HDEL', KEYS[1], 'closesAt') end
if #set > 0 then redis.call('HSET', KEYS[1], unpack(set)) end
return {CODE.OK, now, redis.call('HMGET', KEYS[1], unpack(ARGV, 3))}
