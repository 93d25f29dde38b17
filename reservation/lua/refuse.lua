--[[ refuse: what a request that may be sent again is answered if the best seats are not to be had.
Guarantee: it is answered as it was before, or with this from now on.
KEYS  1 the request's record string
ARGV  1 fingerprint of the request's content; 2 how long the record is kept, ms; 3 code: NO_SEATS_TOGETHER or
      TOO_FEW_SEATS; 4 most free seats next to one another; 5 free seats
Returns {code, now ms, ARGV 4, ARGV 5}; 1000 more than what was answered before, by this or accept_hold; {KEY_REUSED,
      now ms} ]]
-- @include clock
-- @include once
return once(KEYS[1], ARGV[1], ARGV[2], function()
  return {tonumber(ARGV[3]), now, tonumber(ARGV[4]), tonumber(ARGV[5])}
end)
