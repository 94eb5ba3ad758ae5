-- Brings records of one caller's jobs up to date and returns them. A job that waited past its deadline and was never
-- started expires. With ARGV[2] = 'cancel', a job that is still open is cancelled. Repeating changes nothing.
--
-- KEYS  1 open  2 scheduled  3 flow  4 owner  5 retrying  6 bytes  7-18 streams  19.. jobs
--       if ARGV[2] is 'take' or 'delete': 19 the job  20 its handover  21 dead  22 events
-- ARGV  1 owner  2 'look', 'brief' (without results; also frees the place of a job without a record), 'cancel', 'take'
--       (returns and deletes a result that is not kept), 'peek' (returns and keeps it), 'delete' (cancels the job if it
--       is open, and deletes all that is stored of it) or 'list' (a page of jobs)
--       3.. the jobs' ids. For 'take' and 'delete' 3 is the only id, and 4 is the reader's nonce.
--       For 'list' 3 maximum number of jobs  4 maximum bytes of results  5 the jobs' status, or empty for any
--       6.. the jobs' ids
-- Answers {now ms, figures, {record or false, ...}}. A record is a flat list of fields and values. It is false if the
--   caller has no such job or, in a 'list', if the job has another status. The figures are those of admit.lua,
--   or an empty line if none of these jobs is open. A 'list' ends early once it has ARGV[3] jobs, or if the next result
--   does not fit

-- No `#!lua` line, so that a server that accepts no writes (a replica, a full disk) still serves reads.

local now = now_ms()
local action = ARGV[2]
local FIRST_STREAM, FIRST_JOB = 7, 7 + STREAMS
local LAST_JOB = (action == 'take' or action == 'delete') and FIRST_JOB or #KEYS
local is_list = action == 'list'
local FIRST_ID = is_list and 6 or 3
local most, room, wanted_status = tonumber(ARGV[3]), tonumber(ARGV[4]), is_list and ARGV[5] or ''
local any_open = false

-- Longer than a reader retries after a lost reply.
local HANDOVER_MS = 2000

-- Returns the result, and the request as the OpenAI API shows it ('' if it does not), to the first reader only. They
-- leave the record, and for a moment the same nonce fetches them again. The live output goes with them.
local function hand_over(keys, record)
  local nonce = ARGV[4] .. ' '
  local result, openai = unpack(redis.call('HMGET', keys.job, 'result', 'openai'))
  if result then
    openai = openai or ''
    local output_bytes = number(redis.call('HGET', keys.job, 'output_bytes'), 0)
    redis.call('HDEL', keys.job, 'result', 'openai', 'output_bytes') -- first: a full memory allows it, and after it the SET
    redis.call('DEL', KEYS[FIRST_JOB + 3])
    redis.call('SET', KEYS[FIRST_JOB + 1], nonce .. #openai .. ' ' .. openai .. result, 'PX', HANDOVER_MS)
    if record.counted then
      local bytes, kept, bucket = counted_of(record)
      local bytes_now = math.max(0, bytes - #result - #openai - output_bytes)
      recount(keys, record, bytes_now, math.max(0, kept - #openai), bucket)
    end
    return result, openai
  end
  local handed = redis.call('GET', KEYS[FIRST_JOB + 1]) or ''
  local length, first = string.match(handed, '^(%d+) ()', #nonce + 1)
  if length and string.sub(handed, 1, #nonce) == nonce then
    local last = first + length - 1
    return string.sub(handed, last + 1), string.sub(handed, first, last)
  end
end

-- For records that were written before errors were cut to a limit.
local function with_short_errors(fields)
  for place = 1, #fields, 2 do
    if fields[place] == 'error' or fields[place] == 'last_error' then fields[place + 1] = short_error(fields[place + 1]) end
  end
  return fields
end

local function add_field(fields, name, value)
  table.insert(fields, name)
  table.insert(fields, value)
end

-- The fields that callers see. An envelope, a result or a request can be megabytes: they are read only if wanted.
local function shown(keys, record, status)
  local names = {'id', 'owner', 'type', 'queue', 'status', 'priority', 'created_at', 'started_at', 'attempt_at',
    'finished_at', 'deadline_at', 'attempts', 'stream', 'seq', 'due', 'error', 'last_error', 'metadata', 'store', 'request_id'}
  local kept = record.store ~= '0' or action == 'peek'
  local result, openai
  if action == 'take' and not kept then result, openai = hand_over(keys, record) end
  if action ~= 'brief' and action ~= 'delete' then
    if kept then table.insert(names, 'result') end
    if not is_list then table.insert(names, 'openai') end
  end
  local fields = {}
  for place, value in ipairs(redis.call('HMGET', keys.job, unpack(names))) do
    if value then add_field(fields, names[place], value) end
  end
  if status == 'failed' or record.retried_token then fields = with_short_errors(fields) end
  if result then add_field(fields, 'result', result) end
  if result and openai ~= '' then add_field(fields, 'openai', openai) end
  return fields
end

-- Deletes what is stored of a final job: its record, with all that it holds, its place in the list and its dead letter.
local function erase(keys, id)
  local record = read(keys.job, 'counted', 'letter')
  if record.counted then
    local _, _, bucket = counted_of(record)
    recount(keys, record, 0, 0, bucket)
  end
  if is_entry_id(record.letter) then redis.call('XDEL', KEYS[FIRST_JOB + 2], record.letter) end
  redis.call('DEL', keys.job, KEYS[FIRST_JOB + 1], KEYS[FIRST_JOB + 3])
  redis.call('ZREM', keys.owner, id)
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
  elseif (action == 'cancel' or action == 'delete') and (status == 'queued' or status == 'in_progress') then
    status = 'cancelled'
    close(keys, record, id, status, now, false)
  end
  if wanted_status ~= '' and status ~= wanted_status then return false end
  if is_list then
    taken = taken + redis.call('HSTRLEN', job_key, 'result')
    is_full = taken > room and listed > 0
    if is_full then return false end
  end
  any_open = any_open or status == 'queued' or status == 'in_progress'
  local fields = shown(keys, record, status)
  if action == 'delete' then erase(keys, id) end
  return fields
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
return {digits(now), any_open and line_of(figures(KEYS[3])) or '', records}
