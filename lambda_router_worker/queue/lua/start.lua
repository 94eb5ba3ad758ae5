#!lua flags=allow-oom
-- Starts a claimed job and returns the fencing token of this attempt: a number that only grows.
-- A job is not started if it is already final, or if its deadline passed before its first start. Its entry is removed.
-- A job whose lease has expired was left by a dead worker, and is started again. When ARGV[5] of its leases have
-- expired, it becomes a dead letter instead. So does a job that was started and whose record is gone.
-- Safe to send twice with the same nonce: the second call returns the same start and renews the lease.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- ARGV  1 id  2 entry id  3 consumer  4 lease ms  5 expired leases allowed  6 nonce, new for each attempt (or none)
--       7 'crashes' to get the job's number of crashes as well, and the ms that its entry was in line (or none)
-- Answers {'run', token, attempts}, followed by the job's crashes and these ms if requested. Any other reply says why
--   the job was not started: {expired}, {leased} (another worker has it), {stale} (it was requeued; this entry is its
--   old one), {dead} (too many leases expired), {abandoned} (it was started and its record is gone), {gone}, or a final
--   status

local id, entry_id, nonce = ARGV[1], ARGV[2], ARGV[6] or ''
local record = read_leased('attempts', 'started_at', 'store', 'lease_until', 'nonce', 'crashes')
local microseconds = now_us()
local now = math.floor(microseconds / 1000)

-- Writes the lease and marks the entry. Arguments are fields of the record and their values.
local function hold(...)
  hold_lease(record, id, now, tonumber(ARGV[4]), ...)
  -- FORCE: a failover may have lost the claim, but the entry must still show that the job was started.
  redis.call('XCLAIM', keys.stream, GROUP, ARGV[3], 0, entry_id, 'RETRYCOUNT', BEGUN, 'FORCE', 'JUSTID')
end

-- Voids the output of earlier attempts: it is removed, and a mark tells readers to start over, also those who read it
-- before it expired. An error can only mean that somebody else wrote to the key; then there is no live output.
local function restart_output(token)
  if not keys.events or not record.output_bytes then return end
  local mark = digits(token) .. '-0'
  redis.pcall('XADD', keys.events, mark, 'restarted', 1)
  redis.pcall('XTRIM', keys.events, 'MINID', mark)
  redis.call('HSET', keys.job, 'output_bytes', 0)
  keep_output(keys.job, keys.events, record, now)
end

local function answer(token, attempts, attempt_at)
  if ARGV[7] ~= 'crashes' then return {'run', token, attempts} end
  local joined_at = tonumber(string.match(entry_id, '^%d+')) or attempt_at -- an entry's id begins with Redis's clock
  return {'run', token, attempts, number(record.crashes, 0), math.max(0, attempt_at - joined_at)}
end

if not record.status then
  local entry = entry_fields(keys.stream, entry_id)
  local begun = entry and was_begun(entry_id, entry)
  if begun then abandon(keys.dead, keys.flow, id, entry.job or '', now) end
  drop_entry(entry_id)
  return {begun and 'abandoned' or 'gone'}
end
if record.status ~= 'queued' and record.status ~= 'in_progress' then
  drop_entry(entry_id)
  return {record.status}
end
if not is_current(record, entry_id) then -- the job was requeued since
  drop_entry(entry_id)
  return {'stale'}
end
if record.status == 'in_progress' and nonce ~= '' and record.nonce == nonce then -- the first reply was lost
  hold()
  return answer(number(record.lease_token, 0), number(record.attempts, 0), number(record.attempt_at, now))
end
if record.status == 'queued' then
  local deadline = number(record.deadline_at, now)
  if not record.started_at and now >= deadline then
    close(keys, record, id, 'expired', deadline, false, 'deadline_at', digits(deadline)) -- for its caller to read
    return {'expired'}
  end
  count_waiting(keys.flow, 'left', record.stream, keys.stream)
else
  local lease_until = number(record.lease_until, 0)
  if now < lease_until then
    leave_entry(entry_id, lease_until, tonumber(ARGV[4]), now)
    return {'leased'}
  end
  if count(keys.job, 'deaths', 1) >= tonumber(ARGV[5]) then
    bury(record, id, entry_envelope(entry_id), 'worker_died', 'The workers that tried this job died.', now)
    return {'dead'}
  end
end

local token = next_token(number(record.lease_token, 0), microseconds)
local attempts = math.floor(number(record.attempts, 0)) + 1
-- Later than everything before it, even if the clock stepped back. No two attempts share a time, because give_back.lua
-- recognizes the first attempt by it.
local attempt_at = digits(math.max(now, number(record.created_at, 0), number(record.attempt_at, 0) + 1))
hold('status', 'in_progress', 'worker', ARGV[3], 'attempts', attempts, 'attempt_at', attempt_at,
  'started_at', record.started_at or attempt_at, 'nonce', nonce, 'lease_token', token)
restart_output(token)
return answer(token, attempts, tonumber(attempt_at))
