-- A request that a client may send again, and that shall be carried out once. Its record is the last key of a script:
-- the fingerprint of the request's content, 22 characters, or so many blanks for one whose reply may get lost on the
-- way to us; then what the script answered.

-- Answers as before where there is a record (code + 1000), and KEY_REUSED if it is another request's; otherwise does
-- what is to be done, and writes the record in the same step. What was refused because of its time or of the others
-- that wait is not remembered, so that it can be tried again; nor is any refusal of a request without a key.
local function once(record_key, fingerprint, ttl_ms, decide)
  if not record_key then return decide() end
  local record = redis.call('GET', record_key)
  if record then
    if string.sub(record, 1, 22) ~= fingerprint then return {CODE.KEY_REUSED, now} end
    local answer = {}
    for part in string.gmatch(string.sub(record, 23), '%S+') do
      answer[#answer + 1] = string.find(part, '^%d+$') and tonumber(part) or part
    end
    answer[1] = answer[1] + 1000
    return answer
  end
  local answer = decide()
  local code = answer[1]
  local refused = code >= CODE.EVENT_UNKNOWN and (code >= CODE.QUEUE_FULL or string.sub(fingerprint, 1, 1) == ' ')
  -- Lua writes whole numbers of up to 14 digits as they are; a time has 13.
  if not refused then redis.call('SET', record_key, fingerprint .. table.concat(answer, ' '), 'PX', ttl_ms) end
  return answer
end
