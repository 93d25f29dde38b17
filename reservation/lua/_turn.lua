-- Where jobs stand in event:{E}:jobs: by their tickets, VIP jobs before the others, and after all of them, by their
-- time (ms), those whose time has not come. Workers begin so many VIP jobs and then one of the others (actors/lanes.py).
local VIP, LATER, VIP_IN_A_ROW = -1e12, 1e15, 4

-- The place of a job whose time has come.
local function ticket(event_key, priority)
  return redis.call('HINCRBY', event_key, 'tickets', 1) + (priority == 'vip' and VIP or 0)
end

-- How many jobs are carried out before this one, as workers take turns; false if it is not open.
local function rank_of(jobs_key, id)
  local rank = redis.call('ZRANK', jobs_key, id)
  if not rank or rank == 0 then return rank end
  local vips = redis.call('ZCOUNT', jobs_key, '-inf', '(0')
  if vips == 0 then return rank end
  local others = redis.call('ZCOUNT', jobs_key, '0', '(1e15')
  if rank < vips then return rank + math.min(math.floor(rank / VIP_IN_A_ROW), others) end
  local before = rank - vips
  return before < others and before + math.min(vips, VIP_IN_A_ROW * (before + 1)) or rank
end
