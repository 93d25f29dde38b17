--[[ draw_ticket: gives a user a place in an event's waiting room.
Guarantee: a user has one ticket at a time, and a ticket one slot. Before the opening its rank among the early is by a
random number; later ones get the next slot, which is never earlier than the rate allows. Run again it changes nothing.
KEYS  1 to 3 as in _room
ARGV  1 as in _room, 2 the user's UUID, 3 a random number that the user cannot know, below 2^50,
      4 most tickets that wait
Returns as _room's `standing`: {OK, now ms, 1 if it was drawn just now, user, place or -1 while early, slot ms,
      end of the admission in s or 0, how many wait, opening ms, interval µs}; {EVENT_CLOSED, now ms, closing ms,
      ms since then}; {code, now ms} with ROOM_UNKNOWN, QUEUE_FULL ]]
-- @include clock
-- @include room
local user, number, most = ARGV[2], ARGV[3], tonumber(ARGV[4])

local room = enter()
if not room then return {CODE.ROOM_UNKNOWN, now} end
local over = closed(room)
if over then return over end
local found = standing(room, 0)
if found then return found end
if room.next then
  local slot = math.max(now_us, room.next)
  if place(room, slot) >= most then return {CODE.QUEUE_FULL, now} end
  room.next = slot + room.interval
  redis.call('HSET', ticket_key, 'user', user, 'slot', string.format('%.0f', slot))
  redis.call('HSET', event_key, 'nextSlot', string.format('%.0f', room.next))
  redis.call('PEXPIREAT', ticket_key, string.format('%.0f', lapses(slot)))
else
  if room.early >= most then return {CODE.QUEUE_FULL, now} end
  room.early = room.early + 1
  redis.call('HSET', ticket_key, 'user', user)
  redis.call('ZADD', early_key, number, ticket)
  -- By then it has been admitted, whatever its rank.
  local latest = string.format('%.0f', lapses(room.opens + most * room.interval))
  redis.call('PEXPIREAT', ticket_key, latest)
  redis.call('PEXPIREAT', early_key, latest)
end
return standing(room, 1)
