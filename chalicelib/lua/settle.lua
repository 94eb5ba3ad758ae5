-- Brings one job's record up to date and returns it: a job that waited past its deadline expires, and with
-- ARGV[3] = 'cancel' a job that is still open is cancelled. Repeating it changes nothing.
--
-- KEYS  1 job  2 open  3-5 streams high, normal, low
-- ARGV  1 id  2 owner  3 'look' or 'cancel'
-- Answers the record as a flat list of fields and values, or false when the caller has no such job.

local job_key, open_key = KEYS[1], KEYS[2]
local streams = {high = KEYS[3], normal = KEYS[4], low = KEYS[5]}
local record = read(job_key, 'owner', 'status', 'priority', 'deadline_at', 'stream_id', 'store_ms', 'keep_until')
if record.owner ~= ARGV[2] then return false end

local now = now_ms()
local waiting = record.status == 'queued'
if waiting and now >= tonumber(record.deadline_at) then
  close(job_key, open_key, streams[record.priority], record, ARGV[1], 'expired', tonumber(record.deadline_at))
elseif ARGV[3] == 'cancel' and (waiting or record.status == 'in_progress') then
  close(job_key, open_key, streams[record.priority], record, ARGV[1], 'cancelled', now)
end
return redis.call('HGETALL', job_key)
