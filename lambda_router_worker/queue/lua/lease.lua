-- Shared by the scripts that a worker calls about one job, behind record.lua and life.lua.
-- KEYS of each  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes

local keys = {job = KEYS[1], stream = KEYS[2], open = KEYS[3], scheduled = KEYS[4], flow = KEYS[5], dead = KEYS[6],
  owner = KEYS[7], retrying = KEYS[8], bytes = KEYS[9]}

-- What an entry's delivery count tells, also when the record is gone: from BEGUN on its job is at work, from RETURNED on it
-- was begun before and stands in line again. No number of deliveries comes near them.
local BEGUN = 1000000
local RETURNED = 2000000

-- A stream's place among all streams, from 0; its name ends in its priority and lane.
local function place_of(stream_key)
  local priority, lane = string.match(stream_key, ':(%a+):(%d)$')
  return FIRST_LANES[priority] + tonumber(lane)
end

-- A worker whose calls are older than its scripts hears of it before anything is written.
local function read_leased(...)
  if not keys.bytes then error({err = 'ERR a script about a job takes nine keys, and was sent ' .. #KEYS}) end
  local record = read_open(keys.job, 'lease_token', ...)
  record.stream = stream_place(record.stream) or place_of(keys.stream)
  return record
end

-- Whether the record names this entry. In another stream another entry may have the same id.
local function is_current(record, entry_id)
  return record.stream_id == entry_id and record.stream == place_of(keys.stream)
end

-- How long a job may wait for a start, or for another one.
local function patience(record)
  return math.max(0, number(record.deadline_at, 0) - number(record.created_at, 0))
end

-- Further arguments are fields of the record and their values, to be written along with the lease.
local function hold_lease(record, id, now, lease_ms, ...)
  redis.call('HSET', keys.job, 'lease_until', now + lease_ms, ...)
  keep_open(keys, record, id, now, now + lease_ms, true)
end

-- Leaves an entry with the worker that has its job's lease. Whoever looked too early took it from there; if it sweeps for what
-- was idle for `sweep_ms`, it finds the entry again when that lease is over, not before and not a whole lease later.
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

-- Takes away an entry that no open job's record names (any more). Whoever stood behind it moves up, if it still waited: also
-- where it is claimed by nobody, since a failover has lost the claim.
local function drop_entry(entry_id)
  local count = deliveries(entry_id)
  local waited = remove_entry(keys.stream, entry_id) == 1
  if count then waited = count < BEGUN or count >= RETURNED end
  if waited then count_waiting(keys.flow, 'left', place_of(keys.stream), keys.stream) end
end

-- A stream's entry as a table by name, or nil.
local function entry_fields(stream_key, entry_id)
  local entry = is_entry_id(entry_id) and redis.call('XRANGE', stream_key, entry_id, entry_id)[1]
  if not entry then return nil end
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return fields
end

-- The envelope that stands in the job's entry, or nil.
local function entry_envelope(entry_id)
  return (entry_fields(keys.stream, entry_id) or {}).job
end

-- A fencing token larger than the one before. It is the clock's microseconds: then no two starts share one, not even where
-- a failover has lost the first of them. Where the clock was set back it goes on from the old token, by the part of the
-- second that it is, for the same reason.
local function next_token(old, microseconds)
  return math.floor(math.max(microseconds, old + 1 + microseconds % 1000000))
end

-- What a letter may keep of a job that has no record to ask. What cannot be read is a stranger's, whose input it is not.
local function envelope_to_keep(envelope)
  local is_json, job = pcall(cjson.decode, envelope)
  if is_json and type(job) == 'table' and job.store == false then return '' end
  return envelope
end

-- A letter of the stream of dead letters.
local function add_letter(dead_key, id, envelope, code, message, attempts, token, now)
  redis.call('XADD', dead_key, '*', 'id', id, 'job', envelope, 'code', short_code(code), 'message', short_message(message),
    'attempts', attempts, 'token', token, 'at', now)
end

-- Gives the job up, whose `attempts` and `store` have been read, too: its envelope goes to the dead letters, unless it is not to be kept; its record says why.
local function bury(record, id, envelope, code, message, now)
  local kept = record.store ~= '0' and envelope or ''
  add_letter(keys.dead, id, kept, code, message, record.attempts or '0', record.lease_token or '0', now)
  close(keys, record, id, 'failed', now, false, 'error', error_json(code, message))
end

-- Gives a job up that was begun and has no record any more.
local function bury_unrecorded(dead_key, flow_key, id, envelope, code, message, now)
  add_letter(dead_key, id, envelope_to_keep(envelope), code, message, '0', '0', now)
  count(flow_key, 'failed', 1)
end

local function abandon(dead_key, flow_key, id, envelope, now)
  local message = 'No worker took this job up again before its record was deleted.'
  bury_unrecorded(dead_key, flow_key, id, envelope, 'abandoned', message, now)
end

-- Whether the job of an entry without a record was begun.
local function was_begun(entry_id, entry)
  return entry.begun or (deliveries(entry_id) or 0) >= BEGUN
end

-- Why this token may not change the job any more, or nil.
local function fenced_out(record, token)
  if not record.status then return 'gone' end
  if record.lease_token ~= token then return 'lost' end
end
