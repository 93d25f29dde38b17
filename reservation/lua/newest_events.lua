--[[ newest_events: a stretch of all events, those that were begun last first, published or not. Writes nothing.
KEYS  1 events zset
ARGV  1 list those that follow this event, or '' to start with the newest; 2 most events to list
Returns {OK, {event id, …}}; {EVENT_UNKNOWN} if that event is not there ]]
local first = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {CODE.EVENT_UNKNOWN} end
  first = rank + 1
end
return {CODE.OK, redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[2] - 1)}
