--[[ index_event: claims the id of a new event.
Guarantee: an id is given once.
KEYS  1 events zset
ARGV  1 event id
Returns 1, or 0 if the id is taken ]]
-- @include clock
return redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
