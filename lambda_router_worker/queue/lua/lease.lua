-- Shared by the scripts that a worker runs on one job, behind record.lua and life.lua.
-- KEYS of each  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- A worker that emits nothing may leave out the tenth.

local keys = {job = KEYS[1], stream = KEYS[2], open = KEYS[3], scheduled = KEYS[4], flow = KEYS[5], dead = KEYS[6],
  owner = KEYS[7], retrying = KEYS[8], bytes = KEYS[9], events = KEYS[10]}

-- An entry's delivery count tells the job's state, even if the record is gone. From BEGUN on, the job was started. From
-- RETURNED on, it was started and is in line again. No real number of deliveries comes near these values.
local BEGUN = 1000000
local RETURNED = 2000000

-- The index of a stream among all streams, from 0. A stream's name ends in its priority and lane.
local function place_of(stream_key)
  local priority, lane = string.match(stream_key, ':(%a+):(%d)$')
  return FIRST_LANES[priority] + tonumber(lane)
end

-- Reads the job's record. A worker whose calls are older than its scripts gets an error before anything is written.
local function read_leased(...)
  if not keys.bytes then error({err = 'ERR a script about a job takes nine keys, and was sent ' .. #KEYS}) end
  local record = read_open(keys.job, 'lease_token', ...)
  record.stream = stream_place(record.stream) or place_of(keys.stream)
  return record
end

-- Returns whether the record names this entry. An entry of another stream may have the same id.
local function is_current(record, entry_id)
  return record.stream_id == entry_id and record.stream == place_of(keys.stream)
end

-- How many ms a job may wait for its first start or for another one.
local function patience(record)
  return math.max(0, number(record.deadline_at, 0) - number(record.created_at, 0))
end

-- Writes the lease. Further arguments are fields of the record and their values, written along with it.
local function hold_lease(record, id, now, lease_ms, ...)
  redis.call('HSET', keys.job, 'lease_until', now + lease_ms, ...)
  keep_open(keys, record, id, now, now + lease_ms, true)
end

-- Returns an entry to the worker that has the job's lease, after another worker took it over too early. A sweep for
-- entries idle for `sweep_ms` finds it again when that lease expires, not before and not a whole lease later.
local function leave_entry(entry_id, lease_until, sweep_ms, now)
  local worker = redis.call('HGET', keys.job, 'worker')
  local entry = redis.call('XPENDING', keys.stream, GROUP, entry_id, entry_id, 1)[1]
  if not worker or not entry or entry[2] == worker then return end
  local idle = math.max(0, sweep_ms - (lease_until - now))
  redis.call('XCLAIM', keys.stream, GROUP, worker, 0, entry_id, 'IDLE', math.floor(idle), 'RETRYCOUNT', BEGUN, 'JUSTID')
end

-- The delivery count of a claimed entry, or nil.
local function deliveries(entry_id)
  local entry = redis.call('XPENDING', keys.stream, GROUP, entry_id, entry_id, 1)[1]
  return entry and entry[4]
end

-- Removes an entry that no open job's record names (any longer). If it still waited, the jobs behind it move up. An
-- entry without a claim counts as waiting, too: a failover has lost the claim.
local function drop_entry(entry_id)
  local count = deliveries(entry_id)
  local waited = remove_entry(keys.stream, entry_id) == 1
  if count then waited = count < BEGUN or count >= RETURNED end
  if waited then count_waiting(keys.flow, 'left', place_of(keys.stream), keys.stream) end
end

-- The fields of a stream's entry as a table by name, or nil.
local function entry_fields(stream_key, entry_id)
  local entry = is_entry_id(entry_id) and redis.call('XRANGE', stream_key, entry_id, entry_id)[1]
  if not entry then return nil end
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return fields
end

-- The envelope in the job's entry, or nil.
local function entry_envelope(entry_id)
  return (entry_fields(keys.stream, entry_id) or {}).job
end

-- A fencing token larger than the one before. It is the clock's microseconds, so that no two starts share a token, even
-- if a failover lost the first start. If the clock was set back, the token continues from the old one, plus the current
-- fraction of a second, for the same reason.
local function next_token(old, microseconds)
  return math.floor(math.max(microseconds, old + 1 + microseconds % 1000000))
end

-- The envelope that a dead letter may keep of a job without a record. One that cannot be read is not from a router, so
-- it holds no caller's input.
local function envelope_to_keep(envelope)
  local is_json, job = pcall(cjson.decode, envelope)
  if is_json and type(job) == 'table' and job.store == false then return '' end
  return envelope
end

-- Adds an entry to the stream of dead letters, and returns its id.
local function add_letter(dead_key, id, envelope, code, message, attempts, token, now)
  return redis.call('XADD', dead_key, '*', 'id', id, 'job', envelope, 'code', short_code(code), 'message', short_message(message),
    'attempts', attempts, 'token', token, 'at', now)
end

-- Marks the end of a final job's live output, which wakes its readers. An error can only mean that somebody else wrote
-- to the key.
local function end_output(record, now)
  if not keys.events or not record.output_bytes then return end
  redis.pcall('XADD', keys.events, record.lease_token .. '-*', 'end', 1)
  keep_output(keys.job, keys.events, record, now)
end

-- How many codes are counted apart: a handler may make up any number of them.
local MOST_CODES = 50

-- Counts a failed job under its code. Codes beyond the first MOST_CODES of a queue count as `other`.
local function count_failure(flow_key, code)
  local field = 'failed:' .. short_code(code)
  local counted = read(flow_key, field, 'failed_codes')
  if not counted[field] then
    if number(counted.failed_codes, 0) < MOST_CODES then count(flow_key, 'failed_codes', 1) else field = 'failed:other' end
  end
  count(flow_key, field, 1)
end

-- Gives up a job, whose record was read with `attempts` and `store`. Its envelope goes to the dead letters, unless the
-- caller wants nothing kept. Its record gets the reason, and names the letter.
local function bury(record, id, envelope, code, message, now)
  local kept = record.store ~= '0' and envelope or ''
  local letter = add_letter(keys.dead, id, kept, code, message, record.attempts or '0', record.lease_token or '0', now)
  close(keys, record, id, 'failed', now, false, 'error', error_json(code, message), 'letter', letter)
  count_failure(keys.flow, code)
  end_output(record, now)
end

-- Gives up a job that was started and whose record is gone.
local function bury_unrecorded(dead_key, flow_key, id, envelope, code, message, now)
  add_letter(dead_key, id, envelope_to_keep(envelope), code, message, '0', '0', now)
  count(flow_key, 'failed', 1)
  count_failure(flow_key, code)
end

local function abandon(dead_key, flow_key, id, envelope, now)
  local message = 'No worker took this job up again before its record was deleted.'
  bury_unrecorded(dead_key, flow_key, id, envelope, 'abandoned', message, now)
end

-- Returns whether a job without a record was started.
local function was_begun(entry_id, entry)
  return entry.begun or (deliveries(entry_id) or 0) >= BEGUN
end

-- The reason that this token may no longer change the job, or nil.
local function fenced_out(record, token)
  if not record.status then return 'gone' end
  if record.lease_token ~= token then return 'lost' end
end
