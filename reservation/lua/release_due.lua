--[[ release_due: frees those of the named seats whose hold is over.
Guarantee: a seat that is reserved, pinned, or held anew since it was named is not touched. The
caller names at most 100 seats, because the server does nothing else meanwhile.
KEYS  1 to 4 as in _event, then for each seat its hash and its lock
ARGV  1 to 3 as in _event, then the seat ids, in the order of their keys
Returns {seats freed, entries dropped that were no holds} ]]
-- @include clock
-- @include event
local freed, dropped = 0, 0
for i = 0, #ARGV - 4 do
  local seat_id, seat_key, lock_key = ARGV[4 + i], KEYS[5 + 2 * i], KEYS[6 + 2 * i]
  local seat = load_seat(seat_key)
  if seat and seat.due then
    free_seat(seat_id, seat_key, lock_key, 'expired', '')
    freed = freed + 1
  elseif not (seat and seat.live) then
    -- No hold that could be due: the entry is not true, and would be named for ever.
    redis.call('ZREM', holds_key, seat_id)
    dropped = dropped + 1
  end
end
return {freed, dropped}
