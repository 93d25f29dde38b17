--[[ read_seat: one seat as it is now. Writes nothing: a hold that is due reads as free.
KEYS  1 event:{E} hash, 2 seat:{E}-N hash
Returns {OK, now ms, status, UUID, expiresAt ms, reservingUntil ms}, a time that does not apply being 0;
      {OK, now ms, 'Reserved', UUID, reservation id, reference}; {code, now ms} with EVENT_UNKNOWN, SEAT_UNKNOWN ]]
-- @include clock
-- @include load
if redis.call('EXISTS', KEYS[1]) == 0 then return {CODE.EVENT_UNKNOWN, now} end
local seat = load_seat(KEYS[2])
if not seat then return {CODE.SEAT_UNKNOWN, now} end
if seat.due then return {CODE.OK, now, 'Available', '', 0, 0} end
if seat.status == 'Reserved' then return {CODE.OK, now, 'Reserved', seat.user, unpack(reservation(KEYS[2]))} end
return {CODE.OK, now, seat.status, seat.user, seat.expires, seat.pinned and seat.reserving or 0}
