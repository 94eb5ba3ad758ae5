#!lua flags=allow-oom
-- Gives a running job back because of the worker's own trouble, not the job's. The attempt does not count. The entry
-- waits under `released`, where the next claim by any worker takes it before new ones. Safe to send twice.
-- After its first start, an untouched job counts as never started, so it can still expire. A crashed job was at the
-- model server when the server broke, perhaps because of it. That counts as a crash, and after ARGV[4] crashes the job
-- becomes a dead letter.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- ARGV  1 id  2 token  3 untouched, begun or crashed  4 crashes allowed
-- Answers 'given back', 'dead', 'lost', 'gone', or the current status of the job

local id = ARGV[1]
local record = read_leased('attempts', 'started_at', 'store', 'crashes')
local stop = fenced_out(record, ARGV[2])
if stop then return stop end
if record.retried_token == ARGV[2] then return record.status == 'failed' and 'dead' or 'given back' end
if record.status ~= 'in_progress' then return record.status end

local now = now_ms()
local envelope = entry_envelope(record.stream_id)
redis.call('HSET', keys.job, 'retried_token', ARGV[2])
local crashes = number(record.crashes, 0)
if ARGV[3] == 'crashed' then crashes = count(keys.job, 'crashes', 1) end
if crashes >= tonumber(ARGV[4]) or not envelope then
  bury(record, id, envelope, 'backend_crashed', 'The model server broke each time it was given this job.', now)
  return 'dead'
end

count(keys.job, 'attempts', -1)
redis.call('HSET', keys.job, 'status', 'queued')
redis.call('HDEL', keys.job, 'lease_until', 'nonce')
-- The job returns to its place in line.
count(keys.flow, 'left:' .. record.stream, -1)
local as_new = ARGV[3] == 'untouched' and record.started_at == record.attempt_at -- this was the first attempt
redis.call('XCLAIM', keys.stream, GROUP, RELEASED, 0, record.stream_id, 'IDLE', RELEASED_IDLE_MS,
  'RETRYCOUNT', as_new and 0 or RETURNED, 'JUSTID')
redis.call('HSET', keys.flow, 'released', 1)
if as_new then
  redis.call('HDEL', keys.job, 'started_at')
  keep_open(keys, record, id, now, math.max(now, number(record.deadline_at, 0)), false)
else
  keep_open(keys, record, id, now, now + patience(record), true)
end
return 'given back'
