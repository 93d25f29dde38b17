--[[ read_job: one job as it is now. Writes nothing.
KEYS  as in _read_job
ARGV  1 job id
Returns as _read_job ]]
-- @include clock
-- @include read_job
return read_job()
