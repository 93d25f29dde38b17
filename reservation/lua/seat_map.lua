--[[ seat_map: the state of every seat of an event. Writes nothing.
A hold that is due counts as free. The ETag is that of list_free: version and number of due holds name the state.
KEYS  1 event:{E} hash, 2 event:{E}:available zset, 3 event:{E}:holds zset, 4 event:{E}:blocked zset
ARGV  1 the ETag the caller knows, or ''
Returns {OK, now ms, etag, version, free, held, reserved, blocked, letters of the seats by number: A free, H on hold,
      R reserved, B blocked}; {UNCHANGED, now ms, etag}; {EVENT_UNKNOWN, now ms} ]]
-- @include clock
local event = redis.call('HMGET', KEYS[1], 'id', 'version', 'totalSeats')
if not event[1] then return {CODE.EVENT_UNKNOWN, now} end
local due = redis.call('ZCOUNT', KEYS[3], '-inf', now)
local etag = event[2] .. '-' .. due
if etag == ARGV[1] then return {CODE.UNCHANGED, now, etag} end

local total, letters, sub, digits = tonumber(event[3]), {}, string.sub, #event[1] + 2
-- In blocks: one that is free as a whole, or not at all, needs no look at its seats.
for first = 1, total, 100 do
  local last = math.min(first + 99, total)
  local free = redis.call('ZCOUNT', KEYS[2], first, last)
  local whole = free == last - first + 1
  local letter = whole and 'A' or 'R'
  for number = first, last do letters[number] = letter end
  if free > 0 and not whole then
    local ids = redis.call('ZRANGEBYSCORE', KEYS[2], first, last)
    for i = 1, #ids do letters[tonumber(sub(ids[i], digits))] = 'A' end
  end
end
local holds = redis.call('ZRANGE', KEYS[3], 0, -1)
for i = 1, #holds do letters[tonumber(sub(holds[i], digits))] = i > due and 'H' or 'A' end
local blocked = redis.call('ZRANGE', KEYS[4], 0, -1)
for i = 1, #blocked do letters[tonumber(sub(blocked[i], digits))] = 'B' end
local free = redis.call('ZCARD', KEYS[2]) + due
local held = #holds - due
return {CODE.OK, now, etag, tonumber(event[2]), free, held, total - free - held - #blocked, #blocked,
  table.concat(letters)}
