--[[ decline: ends a job for the best seats with the verdict that they are not to be had.
Guarantee: an open job gets the verdict; an ended one stays as it is.
KEYS  1 to 7 as in _job, 8 event:{E}:picked zset, 9 event:{E}:failures stream, and the keys of the seats that it was entered with
ARGV  1 to 7 as in _seats, then 8 how long an ended job is kept, ms; 9 code: NO_SEATS_TOGETHER or TOO_FEW_SEATS;
      10 most free seats next to one another; 11 free seats
Returns {code, now ms, since ms}; {stored code, now ms} of a job that had ended; {JOB_UNKNOWN, now ms} ]]
-- @include clock
-- @include job
local job = load_job()
if not job then return {CODE.JOB_UNKNOWN, now} end
if job.ended then return {job.code, now} end
if now >= job.deadline then return end_job(job, 'failed', CODE.DEADLINE_PASSED, ARGV[8]) end
give_up_picked(job, KEYS[8])
return end_job(job, 'completed', tonumber(ARGV[9]), ARGV[8], 'largestBlock', ARGV[10], 'free', ARGV[11])
