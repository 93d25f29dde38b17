--[[ list_free: the free seats of an event in the order of their numbers. Writes nothing.
A hold that is due counts as free. The version counts the changes, and holds become due in one
order only, so version and number of due holds together name the list: that is its ETag.
KEYS  1 event:{E} hash, 2 event:{E}:available zset, 3 event:{E}:holds zset
ARGV  1 list only seats above this number, 2 most seats to list (0 = all), 3 the ETag the caller
      knows, or ''
Returns {OK, etag, total free, ids joined by ',', 1 if there are more}; {UNCHANGED, etag, total};
      {EVENT_UNKNOWN} ]]
-- @include clock
local version = redis.call('HGET', KEYS[1], 'version')
if not version then return {CODE.EVENT_UNKNOWN} end
local after, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = redis.call('ZCOUNT', KEYS[3], '-inf', now)
local etag = version .. '-' .. due
local total = redis.call('ZCARD', KEYS[2]) + due
if etag == ARGV[3] then return {CODE.UNCHANGED, etag, total} end

local ids
if limit == 0 and after == 0 then
  ids = redis.call('ZRANGE', KEYS[2], 0, -1)
else
  local most = limit > 0 and limit + 1 or -1
  ids = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'LIMIT', 0, most)
end
if due > 0 then
  local number = {}
  for _, id in ipairs(ids) do number[id] = tonumber(string.match(id, '%d+$')) end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
    number[id] = tonumber(string.match(id, '%d+$'))
    if number[id] > after then ids[#ids + 1] = id end
  end
  table.sort(ids, function(a, b) return number[a] < number[b] end)
end
local more = limit > 0 and #ids > limit
if more then
  for i = #ids, limit + 1, -1 do ids[i] = nil end
end
return {CODE.OK, etag, total, table.concat(ids, ','), more and 1 or 0}
