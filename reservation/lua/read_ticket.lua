--[[ read_ticket: where a ticket stands.
Guarantee: its slot stays as it is once it is known, and the admission ends so long after it was asked for first,
however often it is asked for.
KEYS  1 to 3 as in _room
ARGV  1 as in _room
Returns as draw_ticket; {EVENT_CLOSED, now ms, closing ms, ms since then}; {TICKET_UNKNOWN, now ms} ]]
-- @include clock
-- @include room
local room = enter()
return room and (closed(room) or standing(room, 0)) or {CODE.TICKET_UNKNOWN, now}
