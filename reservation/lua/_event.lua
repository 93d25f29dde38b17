-- What the scripts that change seats share. Each names its keys in this order:
--   KEYS[1] event:{E}            hash      KEYS[3] event:{E}:holds    zset
--   KEYS[2] event:{E}:available  zset      KEYS[4] event:{E}:changes  stream
-- and starts its arguments with
--   ARGV[1] how long the change stream is kept, ms
--   ARGV[2] request id, or ''
--   ARGV[3] job id, or ''
local event_key, available_key, holds_key, changes_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local retention_ms, request_id, job_id = tonumber(ARGV[1]), ARGV[2], ARGV[3]

-- @include load

-- One entry in the event's history; `version` is its sequence number and part of the list's ETag. The arguments after
-- `actor` are more fields of it.
local function record(seat_id, cause, actor, ...)
  redis.call('XADD', changes_key, 'MINID', '~', string.format('%.0f', now - retention_ms), '*',
    'seq', redis.call('HINCRBY', event_key, 'version', 1), 'seat', string.match(seat_id, '%d+$'),
    'cause', cause, 'actor', actor, 'job', job_id, 'request', request_id, ...)
end

-- Frees a seat on hold. An expiry does not name the set of the holder it takes the seat from:
-- the entry left there is due, and due entries count for nothing.
local function free_seat(seat_id, seat_key, lock_key, cause, actor)
  redis.call('HSET', seat_key, 'status', 'Available', 'UUID', '')
  redis.call('HDEL', seat_key, 'heldAt', 'expiresAt', 'reservingUntil', 'reserveJob')
  redis.call('DEL', lock_key)
  redis.call('ZREM', holds_key, seat_id)
  redis.call('ZADD', available_key, string.match(seat_id, '%d+$'), seat_id)
  record(seat_id, cause, actor)
end
