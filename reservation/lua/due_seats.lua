--[[ due_seats: names seats whose hold is over, for release_due to free. Writes nothing.
KEYS  1 event:{E}:holds zset
ARGV  1 most seats to name
Returns the seat ids, the longest overdue first ]]
-- @include clock
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
