--[[ audit_page: what has happened to the seats of an event, oldest first. Writes nothing.
Looks at some entries of the stream, of which those are given that are about one seat or one user, or all. What is older
than the stream is kept for is not given, though it may be there still: the stream is trimmed by whole blocks.
KEYS  1 event:{E} hash, 2 event:{E}:changes stream
ARGV  1 id of an entry: look at those that follow it; or a time, ms: from then on; 2 most entries to look at;
      3 most to give; 4 number of the seat, or ''; 5 keyed hash of the user, or ''; 6 how long the stream is kept, ms
Returns {OK, id of the last entry that was looked at, or '' if there are no more, then for each
      {id, {field, value, field, value, …}}}; {EVENT_UNKNOWN, ''} ]]
-- @include clock
if redis.call('EXISTS', KEYS[1]) == 0 then return {CODE.EVENT_UNKNOWN, ''} end
local first, look, give, seat, actor = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local oldest = now - tonumber(ARGV[6])
if tonumber(string.match(first, '^%d+')) < oldest then
  first = string.format('%.0f', oldest)
elseif string.find(first, '-', 1, true) then
  first = '(' .. first
end

local entries = redis.call('XRANGE', KEYS[2], first, '+', 'COUNT', look)
local reply = {CODE.OK, ''}
if #entries == look then reply[2] = entries[look][1] end
for i = 1, #entries do
  local fields = entries[i][2]
  -- As `record` in _event wrote them: seat is the second, actor the fourth.
  if (seat == '' or fields[4] == seat) and (actor == '' or fields[8] == actor) then
    reply[#reply + 1] = entries[i]
    if #reply == give + 2 and i < #entries then
      reply[2] = entries[i][1]
      break
    end
  end
end
return reply
