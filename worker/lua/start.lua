-- Starts a claimed job and hands out the fencing token of this attempt: a number that only grows.
-- A job that is already final, cancelled or past its deadline is not started; its entry is removed.
--
-- KEYS  1 job  2 its stream  3 open
-- ARGV  1 id  2 entry id  3 consumer  4 lease ms
-- Answers {'run', token, attempts}, or {why not}: expired | gone | leased | a final status

local job_key, stream_key, open_key = KEYS[1], KEYS[2], KEYS[3]
local record = read(job_key, 'status', 'deadline_at', 'stream_id', 'store_ms', 'keep_until', 'lease_until')
local now = now_ms()

if record.status == 'queued' then
  if now >= tonumber(record.deadline_at) then
    close(job_key, open_key, stream_key, record, ARGV[1], 'expired', tonumber(record.deadline_at))
    return {'expired'}
  end
elseif record.status == 'in_progress' then
  if now < tonumber(record.lease_until) then return {'leased'} end
else
  remove_entry(stream_key, ARGV[2])
  return {record.status or 'gone'}
end

local token = redis.call('HINCRBY', job_key, 'lease_token', 1)
local attempts = redis.call('HINCRBY', job_key, 'attempts', 1)
redis.call('HSETNX', job_key, 'started_at', digits(now))
redis.call('HSET', job_key, 'status', 'in_progress', 'worker', ARGV[3])
hold_lease(job_key, open_key, record, ARGV[1], now + tonumber(ARGV[4]))
return {'run', token, attempts}
