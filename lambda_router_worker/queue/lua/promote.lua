#!lua flags=allow-oom
-- Moves jobs that are due from the sorted set into their streams. A job that was started and whose record is gone
-- becomes a dead letter.
--
-- KEYS  1 scheduled  2 flow  3 dead  4 retrying  5-16 streams  17.. the jobs to check, the soonest first
-- ARGV  their ids, in the same order
-- Answers the number of jobs moved

local scheduled_key, flow_key, dead_key, retrying_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local FIRST_STREAM, FIRST_JOB = 5, 5 + STREAMS
local now = now_ms()
local moved = 0
-- The first lane of normal priority, for a job whose record names no stream.
local ANY_STREAM = FIRST_LANES.normal
for i, id in ipairs(ARGV) do
  local job_key = KEYS[FIRST_JOB - 1 + i]
  local due = tonumber(redis.call('ZSCORE', scheduled_key, id) or 'inf')
  if due <= now then
    redis.call('ZREM', scheduled_key, id)
    local record = read(job_key, 'status', 'stream', 'envelope', 'started_at')
    local retried = redis.call('HGET', retrying_key, id)
    if retried then redis.call('HDEL', retrying_key, id) end
    if record.status == 'queued' and record.envelope then
      local stream = stream_place(record.stream) or ANY_STREAM
      local stream_key = KEYS[FIRST_STREAM + stream]
      if record.started_at then -- its entry must show that it was started, even without the record
        enqueue(job_key, stream_key, flow_key, stream, id, record.envelope, 'begun', '1')
      else
        enqueue(job_key, stream_key, flow_key, stream, id, record.envelope)
      end
      redis.call('HDEL', job_key, 'envelope', 'due')
      moved = moved + 1
    elseif retried and not record.status then
      abandon(dead_key, flow_key, id, retried, now)
    end
  end
end
return moved
