-- Brings records of one caller's jobs up to date and returns them: a job that waited past its deadline without ever
-- being started expires, and with ARGV[2] = 'cancel' a job that is still open is cancelled. Repeating changes nothing.
--
-- KEYS  1 open  2 scheduled  3 flow  4 owner  5 retrying  6-17 streams  18.. jobs; for 'take' 18 the job  19 its handover
-- ARGV  1 owner  2 'look', 'brief' (without results), 'cancel', 'take' (a result that is not kept goes to its reader and
--       is deleted) or 'peek' (it is shown and stays)  3.. the jobs' ids; for 'take' 4 the reader's nonce
-- Answers {now ms, figures, {record or false, ...}}: flat lists of fields and values; false where the caller has no such
-- job; figures are an empty line when no job waits; the list ends early where the results together grow too large

-- No `#!lua` line: then a server that takes no writes (a replica, a full disk) still answers who only looks.

local now = now_ms()
local action = ARGV[2]
local FIRST_STREAM, FIRST_JOB = 6, 18
local LAST_JOB = action == 'take' and FIRST_JOB or #KEYS
local FIRST_ID = 3
local any_waiting = false

-- Longer than a reader asks again for an answer that was lost.
local HANDOVER_MS = 2000

-- The result, to its first reader only: out of the record, and for a moment to be had again by the same nonce.
local function hand_over(job_key)
  local nonce = ARGV[4] .. ' '
  local result = redis.call('HGET', job_key, 'result')
  if result then
    redis.call('HDEL', job_key, 'result') -- first: a full memory allows it, and then the SET
    redis.call('SET', KEYS[FIRST_JOB + 1], nonce .. result, 'PX', HANDOVER_MS)
    return result
  end
  local handed = redis.call('GET', KEYS[FIRST_JOB + 1])
  if handed and string.sub(handed, 1, #nonce) == nonce then return string.sub(handed, #nonce + 1) end
end

-- Of records that were written before errors were cut.
local function with_short_errors(fields)
  for place = 1, #fields, 2 do
    if fields[place] == 'error' or fields[place] == 'last_error' then fields[place + 1] = short_error(fields[place + 1]) end
  end
  return fields
end

local function without_result(fields)
  local brief = {}
  for place = 1, #fields, 2 do
    if fields[place] ~= 'result' then
      table.insert(brief, fields[place])
      table.insert(brief, fields[place + 1])
    end
  end
  return brief
end

local function shown(job_key, record)
  local fields = redis.call('HGETALL', job_key)
  if record.status == 'failed' or record.retried_token then fields = with_short_errors(fields) end
  local kept = record.store ~= '0' or action == 'peek'
  if kept and action ~= 'brief' then return fields end
  local brief = without_result(fields)
  local result = action == 'take' and hand_over(job_key)
  if result then
    table.insert(brief, 'result')
    table.insert(brief, result)
  end
  return brief
end

local function settle(job_key, id)
  local record = read_open(job_key)
  if record.owner ~= ARGV[1] then return false end
  local keys = {job = job_key, open = KEYS[1], scheduled = KEYS[2], flow = KEYS[3], owner = KEYS[4], retrying = KEYS[5],
    stream = KEYS[FIRST_STREAM + tonumber(record.stream)]}
  local waiting = record.status == 'queued'
  if waiting and not record.started_at and now >= tonumber(record.deadline_at) then
    close(keys, record, id, 'expired', tonumber(record.deadline_at))
  elseif action == 'cancel' and (waiting or record.status == 'in_progress') then
    close(keys, record, id, 'cancelled', now)
  else
    any_waiting = any_waiting or waiting
  end
  return shown(job_key, record)
end

-- Lambda passes 6 MB back: records whose results would not fit are left for another call. The first always comes. A
-- page of the longest errors has 3 MB, with all escapes that they may need.
local ROOM = 524288
local taken = 0
local records = {}
for i = FIRST_JOB, LAST_JOB do
  if action ~= 'brief' then taken = taken + redis.call('HSTRLEN', KEYS[i], 'result') end
  if taken > ROOM and i > FIRST_JOB then break end
  records[i - FIRST_JOB + 1] = settle(KEYS[i], ARGV[i - FIRST_JOB + FIRST_ID])
end
return {digits(now), any_waiting and line_of(figures(KEYS[3])) or '', records}
