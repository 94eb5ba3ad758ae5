-- Brings records of one caller's jobs up to date and returns them. A job that waited past its deadline and was never
-- started expires. With ARGV[2] = 'cancel', a job that is still open is cancelled. Repeating changes nothing.
--
-- KEYS  1 open  2 scheduled  3 flow  4 owner  5 retrying  6 bytes  7-18 streams  19.. jobs; for 'take' 19 the job
--       20 its handover
-- ARGV  1 owner  2 'look', 'brief' (without results; also frees the place of a job without a record), 'cancel', 'take'
--       (returns and deletes a result that is not kept), 'peek' (returns and keeps it) or 'list' (jobs of one status)
--       3.. the jobs' ids; for 'take' 4 the reader's nonce; for 'list' 3 the most jobs to return  4 the most bytes of
--       results  5 their status, or empty for any  6.. the jobs' ids
-- Answers {now ms, figures, {record or false, ...}}. A record is a flat list of fields and values. It is false if the
--   caller has no such job or, in a 'list', if the job has another status. The figures are an empty line if no job
--   waits. A 'list' ends early once it has its most jobs, or if the results together grow too large

-- No `#!lua` line, so that a server that accepts no writes (a replica, a full disk) still serves reads.

local now = now_ms()
local action = ARGV[2]
local FIRST_STREAM, FIRST_JOB = 7, 7 + STREAMS
local LAST_JOB = action == 'take' and FIRST_JOB or #KEYS
local is_list = action == 'list'
local FIRST_ID = is_list and 6 or 3
local most, room, wanted_status = tonumber(ARGV[3]), tonumber(ARGV[4]), is_list and ARGV[5] or ''
local any_waiting = false

-- Longer than a reader retries after a lost reply.
local HANDOVER_MS = 2000

-- Returns the result to its first reader only. It leaves the record, and for a moment the same nonce fetches it again.
local function hand_over(keys, record)
  local nonce = ARGV[4] .. ' '
  local result = redis.call('HGET', keys.job, 'result')
  if result then
    redis.call('HDEL', keys.job, 'result') -- first: a full memory allows it, and after it the SET
    redis.call('SET', KEYS[FIRST_JOB + 1], nonce .. result, 'PX', HANDOVER_MS)
    if record.counted then
      local bytes, kept, bucket = counted_of(record)
      recount(keys, record, math.max(0, bytes - #result), kept, bucket)
    end
    return result
  end
  local handed = redis.call('GET', KEYS[FIRST_JOB + 1])
  if handed and string.sub(handed, 1, #nonce) == nonce then return string.sub(handed, #nonce + 1) end
end

-- For records that were written before errors were cut to a limit.
local function with_short_errors(fields)
  for place = 1, #fields, 2 do
    if fields[place] == 'error' or fields[place] == 'last_error' then fields[place + 1] = short_error(fields[place + 1]) end
  end
  return fields
end

-- The fields without the result and the envelope, which can be megabytes and are not even read.
local function brief(job_key)
  local names = {'id', 'owner', 'type', 'queue', 'status', 'priority', 'created_at', 'started_at', 'finished_at',
    'deadline_at', 'attempts', 'stream', 'seq', 'due', 'error', 'last_error', 'metadata', 'store', 'request_id'}
  local fields = {}
  for place, value in ipairs(redis.call('HMGET', job_key, unpack(names))) do
    if value then
      table.insert(fields, names[place])
      table.insert(fields, value)
    end
  end
  return fields
end

local function shown(keys, record, status)
  local kept = record.store ~= '0' or action == 'peek'
  local holds_envelope = status == 'queued' and not record.stream_id
  local is_whole = kept and action ~= 'brief' and not holds_envelope
  local fields = is_whole and redis.call('HGETALL', keys.job) or brief(keys.job)
  if status == 'failed' or record.retried_token then fields = with_short_errors(fields) end
  local result = action == 'take' and not kept and hand_over(keys, record)
  if result then
    table.insert(fields, 'result')
    table.insert(fields, result)
  end
  return fields
end

-- Frees the place of a job without a record, which nothing else would do. A job that waits for a retry stays in line
-- until a worker makes it a dead letter.
local function drop_place(id)
  if redis.call('ZREM', KEYS[1], id) == 1 and redis.call('HSTRLEN', KEYS[5], id) == 0 then
    redis.call('ZREM', KEYS[2], id)
  end
end

-- Records whose results do not fit are left for another call, except the first.
local taken, listed, is_full = 0, 0, false

local function settle(job_key, id)
  local record = read_open(job_key, 'owner', 'started_at', 'store')
  if action == 'brief' and not record.status then drop_place(id) end
  if record.owner ~= ARGV[1] then return false end
  local keys = {job = job_key, open = KEYS[1], scheduled = KEYS[2], flow = KEYS[3], owner = KEYS[4], retrying = KEYS[5],
    bytes = KEYS[6], stream = KEYS[FIRST_STREAM + (stream_place(record.stream) or #KEYS)]} -- nil if the record names none
  local status = record.status
  if status == 'queued' and not record.started_at and now >= number(record.deadline_at, now) then
    status = 'expired'
    local deadline = number(record.deadline_at, now)
    close(keys, record, id, status, deadline, false, 'deadline_at', digits(deadline)) -- so that its caller can read it
  elseif action == 'cancel' and (status == 'queued' or status == 'in_progress') then
    status = 'cancelled'
    close(keys, record, id, status, now, false)
  end
  if wanted_status ~= '' and status ~= wanted_status then return false end
  if is_list then
    taken = taken + redis.call('HSTRLEN', job_key, 'result')
    is_full = taken > room and listed > 0
    if is_full then return false end
  end
  any_waiting = any_waiting or status == 'queued'
  return shown(keys, record, status)
end

-- Returns whether the job has the wanted status, or will once it is up to date. Of other jobs nothing else is read.
local function may_be_wanted(job_key)
  if wanted_status == '' then return true end
  if wanted_status ~= 'expired' then return redis.call('HGET', job_key, 'status') == wanted_status end
  local status, started_at, deadline_at = unpack(redis.call('HMGET', job_key, 'status', 'started_at', 'deadline_at'))
  return status == 'expired' or (status == 'queued' and not started_at and now >= number(deadline_at, now))
end

local records = {}
for i = FIRST_JOB, LAST_JOB do
  if is_list and listed == most then break end
  local record = may_be_wanted(KEYS[i]) and settle(KEYS[i], ARGV[i - FIRST_JOB + FIRST_ID])
  if is_full then break end
  if record then listed = listed + 1 end
  records[i - FIRST_JOB + 1] = record
end
return {digits(now), any_waiting and line_of(figures(KEYS[3])) or '', records}
