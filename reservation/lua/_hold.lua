-- What a hold needs, when it is accepted and when it is carried out. Beyond `_job`.

-- What is in the way of a user who wants seats: as `in_the_way`, and the seats that the user does not hold yet.
local function against_hold(seats)
  local wanted = {}
  local code, found = in_the_way(seats, function(seat)
    if seat.status == 'Reserved' then return CODE.SEAT_RESERVED end
    if seat.status == 'Blocked' then return CODE.SEAT_BLOCKED end
    if not seat.live then
      wanted[#wanted + 1] = seat
    elseif seat.user ~= user then
      return CODE.SEAT_HELD
    end
  end)
  return code, found, wanted
end
