-- What the scripts of a waiting room share. Each names its keys in this order:
--   KEYS[1] event:{E} hash    KEYS[2] event:{E}:early zset    KEYS[3] event:{E}:ticket:T hash
-- and starts its arguments with
--   ARGV[1] the ticket
-- A slot is when a ticket is admitted, in µs. Slots lie one interval apart, or more where nobody asked for one.
local event_key, early_key, ticket_key = KEYS[1], KEYS[2], KEYS[3]
local ticket = ARGV[1]

-- How long after its slot a ticket can still be exchanged for an admission.
local COLLECT_MS = 3600000

-- When a ticket with this slot lapses, ms.
local function lapses(slot) return math.ceil(slot / 1000) + COLLECT_MS end

-- The event's room; nil if it has none. The first who comes once it is open ends the shuffle: it fixes the slot that
-- follows those of the early, and so that nobody counts as early any more, even if the clock goes back.
local function enter()
  local f = redis.call('HMGET', event_key, 'createdAt', 'opensAt', 'admitPerMinute', 'admissionTtl', 'nextSlot',
    'closesAt')
  if not f[3] then return nil end
  local room = {
    opens = (f[2] or f[1]) * 1000, interval = math.ceil(60000000 / f[3]), ttl_s = tonumber(f[4]),
    next = tonumber(f[5]), early = redis.call('ZCARD', early_key), closes = tonumber(f[6] or math.huge),
  }
  if not room.next and now_us >= room.opens then
    room.next = room.opens + room.early * room.interval
    redis.call('HSET', event_key, 'nextSlot', string.format('%.0f', room.next))
    if room.early > 0 then redis.call('PEXPIREAT', early_key, string.format('%.0f', lapses(room.next))) end
  end
  return room
end

-- Once sales have ended nobody is let in, or told more than that.
local function closed(room)
  if now >= room.closes then return {CODE.EVENT_CLOSED, now, room.closes, now - room.closes} end
end

-- How many are admitted before this slot is, from now on. Slots that lie ahead have no gaps.
local function place(room, slot)
  return math.max(0, math.ceil((slot - now_us) / room.interval) - 1)
end

-- Where the ticket stands; nil if there is none. Who was early learns the slot here, and keeps it; who asks first
-- after it has the admission begin.
local function standing(room, drawn)
  local f = redis.call('HMGET', ticket_key, 'user', 'slot', 'ends')
  local user, slot, ends = f[1], tonumber(f[2]), tonumber(f[3] or 0)
  if not user then return nil end
  if not room.next then return {CODE.OK, now, drawn, user, -1, 0, 0, room.early, room.opens / 1000, room.interval} end
  if not slot then
    local rank = redis.call('ZRANK', early_key, ticket)
    slot = rank and room.opens + rank * room.interval
    if not slot or lapses(slot) <= now then
      redis.call('DEL', ticket_key)
      return nil
    end
    redis.call('HSET', ticket_key, 'slot', string.format('%.0f', slot))
    redis.call('PEXPIREAT', ticket_key, string.format('%.0f', lapses(slot)))
  end
  if slot <= now_us and ends == 0 then
    ends = math.ceil(now / 1000) + room.ttl_s
    redis.call('HSET', ticket_key, 'ends', ends)
    redis.call('PEXPIREAT', ticket_key, string.format('%.0f', ends * 1000))
  end
  return {
    CODE.OK, now, drawn, user, place(room, slot), math.ceil(slot / 1000), ends, place(room, room.next),
    room.opens / 1000, room.interval,
  }
end
