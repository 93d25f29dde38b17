-- What wrk does with the service. One thread (wrk -t1), any number of connections; arguments after `--`:
--   1 mode      accept: POST /seats/hold only
--               safe: the same with a bearer token instead of a UUID, and an Idempotency-Key
--               follow: and GET its status until the job has ended, as soon as a connection is free
--               paced:  the same from an open loop: holds are due at a fixed rate, whatever the service does,
--                       and each is timed from when it was due
--   2 holds     stop after so many; 0: when the time is up
--   3 rate      holds a second (paced)
--   4 seats     of each event
--   5 tokens    a file with a token a line, each for so many holds as a user may have (safe)
--   6 …         event ids; their seats are held one after another
-- Prints one JSON object.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long s; long ns; } timespec;
  int clock_gettime(int clock, timespec *time);
  int getpid(void);
  int kill(int pid, int number);
]]
local spec = ffi.new("timespec")
local function now_ms()
  ffi.C.clock_gettime(1, spec)  -- CLOCK_MONOTONIC
  return tonumber(spec.s) * 1e3 + tonumber(spec.ns) / 1e6
end

-- Time between two looks at a job from the open loop, ms.
local POLL_MS = 2

-- Holds of one token.
local HOLDS = 6

local mode, most, interval_ms, seats, events
local tokens = {}
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

-- Global, because `done` can ask a thread for globals only.
accepted, ended, held, reads, refused, errors = 0, 0, 0, 0, 0, 0
began, finished, first_error = 0, 0, ""
latencies = {}

local number = 0          -- holds sent
local sent = {}           -- request id -> when it was sent, or was due
local due = {}            -- paced: what connections are waiting to send, the earliest last
local waiting, first, last = {}, 1, 0  -- jobs to look at, in order
local next_due
local session = ""

function init(args)
  mode, most, seats = args[1], tonumber(args[2]), tonumber(args[4])
  events = {unpack(args, 6)}
  if mode == "safe" then
    for token in io.lines(args[5]) do tokens[#tokens + 1] = token end
  end
  if mode == "paced" then
    interval_ms = 1000 / tonumber(args[3])
    delay = reserve
  end
  session = string.format("%08x", math.floor(now_ms() * 1000) % 0x100000000)
end

local function hold(at)
  if number >= seats * #events then return nil end
  local event = events[math.floor(number / seats) + 1]
  local seat = string.format("%s-%d", event, number % seats + 1)
  local token = tokens[math.floor(number / HOLDS) + 1]
  number = number + 1
  local id = tostring(number)
  sent[id] = at
  local headers = {["Content-Type"] = "application/json", ["X-Request-ID"] = id}
  local body = string.format('{"id":"%s","UUID":"%s-0000-4000-8000-%012x"}', seat, session, number)
  if mode == "safe" then
    body = string.format('{"id":"%s"}', seat)
    headers["Authorization"], headers["Idempotency-Key"] = "Bearer " .. token, session .. "-" .. id
  end
  return wrk.format("POST", "/seats/hold", headers, body)
end

local function look(job)
  reads = reads + 1
  return wrk.format("GET", "/seats/job/" .. job .. "/status")
end

local function nothing() return wrk.format("GET", "/health/live") end

-- wrk asks for how long a connection shall wait before its next request. What it shall send then is
-- settled here: the look at a job that this connection has just asked for, or the next hold.
function reserve()
  local now = now_ms()
  if not next_due then next_due = now + 100 end
  local at, job
  if first <= last then
    at, job = waiting[first].at, waiting[first].job
    waiting[first] = nil
    first = first + 1
  else
    at = next_due
    next_due = next_due + interval_ms
  end
  local place = #due
  while place > 0 and due[place].at < at do place = place - 1 end
  table.insert(due, place + 1, {at = at, job = job})
  return math.max(0, math.floor(at - now + 0.5))
end

local verified = false
function request()
  if not verified then  -- wrk calls it once to see whether it pipelines
    verified = true
    return nothing()
  end
  local now = now_ms()
  if began == 0 then began = now end
  if mode == "paced" then
    local item = table.remove(due)
    if item.job then return look(item.job) end
    return hold(item.at) or nothing()
  end
  if first <= last then
    local job = waiting[first].job
    waiting[first] = nil
    first = first + 1
    return look(job)
  end
  return hold(now) or nothing()
end

local jobs = {}  -- job id -> when its hold was sent, or was due

local function wait_for(job, at)
  last = last + 1
  waiting[last] = {job = job, at = at}
end

-- As Ctrl-C: what a thread can ask of wrk would stop it, but not wrk's wait for the time to be up.
local function finish(count)
  if most > 0 and count >= most then ffi.C.kill(ffi.C.getpid(), 2) end
end

function response(status, headers, body)
  local now = now_ms()
  if status == 202 then
    accepted = accepted + 1
    finished = now
    if mode == "accept" or mode == "safe" then return finish(accepted) end
    local job = string.match(body, '"jobId":"([^"]+)"')
    local id = headers["X-Request-ID"] or headers["X-Request-Id"]
    jobs[job] = sent[id]
    sent[id] = nil
    wait_for(job, now)
  elseif status == 200 then
    local job, state = string.match(body, '^{"id":"([^"]+)".-"status":"(%a+)"')
    if not job then return end  -- /health/live
    if state == "completed" then
      ended = ended + 1
      if string.find(body, '"success":true', 1, true) then held = held + 1 end
      finished = now
      latencies[ended] = now - jobs[job]
      jobs[job] = nil
      finish(ended)
    elseif state == "failed" then
      errors = errors + 1
    else
      wait_for(job, now + POLL_MS)
    end
  elseif status == 409 then
    refused = refused + 1
  else
    errors = errors + 1
    if first_error == "" then first_error = status .. " " .. string.sub(body, 1, 200) end
  end
end

function done(summary)
  local thread = threads[1]
  local names = {"accepted", "ended", "held", "reads", "refused", "errors", "began", "finished"}
  local parts = {}
  for _, name in ipairs(names) do parts[#parts + 1] = string.format('"%s":%.3f', name, thread:get(name)) end
  local e = summary.errors
  parts[#parts + 1] = string.format('"socket_errors":%d', e.connect + e.read + e.write + e.timeout)
  parts[#parts + 1] = string.format('"first_error":"%s"', (thread:get("first_error"):gsub('[%c"\\]', "'")))
  local times = {}
  for i, ms in ipairs(thread:get("latencies")) do times[i] = string.format("%.3f", ms) end
  parts[#parts + 1] = '"latencies":[' .. table.concat(times, ",") .. "]"
  io.write("{", table.concat(parts, ","), "}\n")
end
