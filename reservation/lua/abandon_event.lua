--[[ abandon_event: gives up an event that was never published, so that its remains can be removed.
Guarantee: from then on it cannot be published, nor can seats be added to it; a published event is
not given up.
KEYS  1 event:{E} hash, 2 event:{E}:abandoned string
ARGV  1 how long that is remembered, ms
Returns 1 if it was given up, else 0 ]]
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[2], 1, 'PX', ARGV[1])
return 1
