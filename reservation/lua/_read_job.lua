-- One job as it is now.
--   KEYS[1] job:{E}-J hash, KEYS[2] event:{E}:jobs zset, KEYS[3] event:{E} hash
--   ARGV[1] job id
-- Returns {OK, now ms, rank or -1, pace µs, field, value, field, value, …}; {JOB_UNKNOWN, now ms}
-- @include turn
local function read_job()
  local fields = redis.call('HGETALL', KEYS[1])
  if #fields == 0 then return {CODE.JOB_UNKNOWN, now} end
  local rank = rank_of(KEYS[2], ARGV[1])
  local pace = tonumber(redis.call('HGET', KEYS[3], 'pace') or 0)
  return {CODE.OK, now, rank or -1, pace, unpack(fields)}
end
