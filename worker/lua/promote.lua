#!lua flags=allow-oom
-- Moves jobs whose time has come from the sorted set into their streams.
--
-- KEYS  1 scheduled  2 flow  3-14 streams  15.. the jobs to look at, the soonest first
-- ARGV  their ids, in the same order
-- Answers the number moved

local now = now_ms()
local moved = 0
for i, id in ipairs(ARGV) do
  local job_key = KEYS[14 + i]
  local due = tonumber(redis.call('ZSCORE', KEYS[1], id) or 'inf')
  if due <= now then
    redis.call('ZREM', KEYS[1], id)
    local record = read(job_key, 'status', 'stream', 'envelope')
    if record.status == 'queued' and record.envelope then
      enqueue(job_key, KEYS[3 + tonumber(record.stream)], KEYS[2], record.stream, id, record.envelope)
      redis.call('HDEL', job_key, 'envelope', 'due')
      moved = moved + 1
    end
  end
end
return moved
