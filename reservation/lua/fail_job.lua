--[[ fail_job: ends a job for which no verdict could be reached.
Guarantee: an open job is failed and its pins taken back, together; an ended one stays as it is.
With DEADLINE_PASSED it acts only from the deadline on, whatever the caller's clock says.
KEYS  1 to 7 as in _job, then 8 event:{E}:failures stream, and the seats'
ARGV  1 to 7 as in _seats, then 8 how long an ended job is kept, ms; 9 code: DEADLINE_PASSED or
      INTERNAL_ERROR
Returns {code, now ms, since ms}; {stored code, now ms} of a job that had ended;
      {code, now ms} with NOT_DUE, JOB_UNKNOWN ]]
-- @include clock
-- @include job
local result_ttl_ms, code = ARGV[8], tonumber(ARGV[9])

local job = load_job()
if not job then return {CODE.JOB_UNKNOWN, now} end
if job.ended then return {job.code, now} end
if code == CODE.DEADLINE_PASSED and now < job.deadline then return {CODE.NOT_DUE, now} end
for _, seat in ipairs(load_seats() or {}) do unpin(seat) end
return end_job(job, 'failed', code, result_ttl_ms)
