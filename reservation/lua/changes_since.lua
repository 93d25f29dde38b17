--[[ changes_since: the changes of an event after the last one that the caller knows. Writes nothing.
KEYS  1 event:{E} hash, 2 event:{E}:changes stream
ARGV  1 sequence of that change; -1: the caller knows none, and is given the newest; 2 most changes to give
Returns {OK, sequence now, id of the newest entry, then four for each change, oldest first: its entry's id,
      sequence, number of the seat, cause}; {CHANGES_GONE, sequence now, id of the newest entry} if they are not
      all there any more, are more than ARGV 2, or the caller knows more than has happened; {EVENT_UNKNOWN}.
      The id is 0-0 if nothing has happened ]]
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or -1)
if version < 0 then return {CODE.EVENT_UNKNOWN} end
local since, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local missed = since < 0 and math.min(version, most) or version - since
-- Each change is one entry, so as many from the end are those that were missed.
local entries = {}
if missed <= most then
  entries = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', math.max(missed, 1))
end
if missed < 0 or (since >= 0 and #entries < missed) then
  entries = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
  return {CODE.CHANGES_GONE, version, entries[1] and entries[1][1] or '0-0'}
end
local reply = {CODE.OK, version, entries[1] and entries[1][1] or '0-0'}
for i = math.min(missed, #entries), 1, -1 do
  local id, fields = entries[i][1], entries[i][2]
  -- As `record` in _event wrote them.
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3], reply[#reply + 4] = id, fields[2], fields[4], fields[6]
end
return reply
