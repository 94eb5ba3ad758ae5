#!lua flags=allow-oom
-- Moves jobs whose time has come from the sorted set into their streams.
--
-- KEYS  1 scheduled  2 flow  3 dead  4 retrying  5-16 streams  17.. the jobs to look at, the soonest first
-- ARGV  their ids, in the same order
-- Answers the number moved

local FIRST_STREAM, FIRST_JOB = 5, 17
local now = now_ms()
local moved = 0
for i, id in ipairs(ARGV) do
  local job_key = KEYS[FIRST_JOB - 1 + i]
  local due = tonumber(redis.call('ZSCORE', KEYS[1], id) or 'inf')
  if due <= now then
    redis.call('ZREM', KEYS[1], id)
    local record = read(job_key, 'status', 'stream', 'envelope')
    if record.status == 'queued' and record.envelope then
      enqueue(job_key, KEYS[FIRST_STREAM + tonumber(record.stream)], KEYS[2], record.stream, id, record.envelope)
      redis.call('HDEL', job_key, 'envelope', 'due')
      moved = moved + 1
    end
  end
end
return moved
