-- Shared by the scripts of the queue. Blank lines separate blocks, and the loader puts in front of a script those that it uses.
-- A job's record is a hash. While the job is open its entry stands in one of the queue's streams, or its envelope
-- waits in the record and its id in the sorted set `scheduled`.

local GROUP = 'workers'

-- The consumer that entries stand under which were given back. While `flow` has the field `released`, some may. Idle for
-- longer than any lease, so that a sweep takes them, too.
local RELEASED = 'released'
local RELEASED_IDLE_MS = 7 * 24 * 3600 * 1000

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- Lua prints large numbers as 1.7e+12; Redis wants digits.
local function digits(number)
  return string.format('%.0f', number)
end

-- As far as Lua counts exactly. No time and no count of ours comes near it.
local MOST = 2 ^ 53

-- The number in a field, which anybody with access to Redis may have written: `default` where it cannot be a time or a count.
local function number(value, default)
  local found = tonumber(value)
  if found and found >= 0 and found <= MOST then return found end -- comparing leaves out what is not a number (NaN), too
  return default
end

-- Adds to a count and returns it. A count that somebody overwrote starts again.
local function count(key, field, change)
  local counted = redis.pcall('HINCRBY', key, field, change)
  if type(counted) == 'number' and counted >= 0 and counted <= MOST then return counted end
  local restarted = math.max(0, change)
  redis.call('HSET', key, field, restarted) -- raises what else may be wrong, such as a full memory
  return restarted
end

-- The fields asked for, as a table by name; absent fields are false.
local function read(job_key, ...)
  local names = {...}
  local values = redis.call('HMGET', job_key, unpack(names))
  local record = {}
  for i, name in ipairs(names) do record[name] = values[i] end
  return record
end

-- Bytes that an error's message and code may have: MAX_ERROR_MESSAGE_BYTES and MAX_ERROR_CODE_BYTES of
-- chalicelib/models.py. Workers in other languages send what they like.
local MESSAGE_BYTES = 4096
local CODE_BYTES = 64
local CUT_MARK = '\226\128\166'

-- The first so many bytes of a text in UTF-8, without half a character at the end.
local function first_bytes(text, bytes)
  local last = bytes
  while last > bytes - 4 and string.find(text, '^[\128-\191]', last + 1) do last = last - 1 end
  return string.sub(text, 1, last)
end

local function short_message(message)
  if #message <= MESSAGE_BYTES then return message end
  return first_bytes(message, MESSAGE_BYTES - #CUT_MARK) .. CUT_MARK
end

local function short_code(code)
  return first_bytes(code, CODE_BYTES)
end

-- An error as its caller reads it.
local function error_json(code, message)
  return cjson.encode({code = short_code(code), message = short_message(message)})
end

-- The same of an error that is JSON already. What is long and no error is cut anywhere: nobody can read it anyway.
local function short_error(json)
  if #json <= MESSAGE_BYTES then return json end
  local is_json, found = pcall(cjson.decode, json)
  if is_json and type(found) == 'table' and type(found.code) == 'string' and type(found.message) == 'string' then
    return error_json(found.code, found.message)
  end
  return string.sub(json, 1, MESSAGE_BYTES)
end

-- What every change of state has to know of a record, and further fields that are asked for.
local function read_open(job_key, ...)
  return read(job_key, 'status', 'owner', 'deadline_at', 'created_at', 'stream', 'stream_id', 'store_ms', 'keep_until',
    'attempt_at', 'started_at', 'retried_token', 'store', 'counted', ...)
end

-- The two counts of one stream again, after somebody overwrote one of them: as if all of its entries waited.
local function recount_waiting(flow_key, stream, stream_key)
  local added, left = 'added:' .. stream, 'left:' .. stream
  local length = redis.call('XLEN', stream_key)
  local counts = read(flow_key, added, left)
  local gone = math.floor(number(counts[left], math.max(0, number(counts[added], 0) - length)))
  counts = {added = gone + length, left = gone}
  redis.call('HSET', flow_key, added, digits(counts.added), left, digits(counts.left))
  return counts
end

-- Counts jobs in and out of waiting, stream by stream: a job's place in line is the difference of two counters.
local function count_waiting(flow_key, change, stream, stream_key)
  local counted = redis.pcall('HINCRBY', flow_key, change .. ':' .. stream, 1)
  if type(counted) == 'number' and counted > 0 and counted <= MOST then return counted end
  return recount_waiting(flow_key, stream, stream_key)[change]
end

local STREAMS = 12
-- Two for each stream, and three.
local FIGURES = 2 * STREAMS + 3

-- How the queue moves: for each stream the jobs added to its line and those that left it, then service_ms, slots and
-- slots_at, and then what else is asked for; 0 for what was never counted.
local function figures(flow_key, ...)
  local values = redis.call('HMGET', flow_key, 'added:0', 'left:0', 'added:1', 'left:1', 'added:2', 'left:2',
    'added:3', 'left:3', 'added:4', 'left:4', 'added:5', 'left:5', 'added:6', 'left:6', 'added:7', 'left:7',
    'added:8', 'left:8', 'added:9', 'left:9', 'added:10', 'left:10', 'added:11', 'left:11',
    'service_ms', 'slots', 'slots_at', ...)
  for i, value in ipairs(values) do values[i] = value or 0 end
  return values
end

-- The same as a line of numbers, as chalicelib/flow.py reads it.
local function line_of(values)
  return table.concat(values, ' ', 1, FIGURES)
end

-- The stream that a field names by its place among all streams, from 0; nil where it names none.
local function stream_place(value)
  local place = number(value, STREAMS)
  return place < STREAMS and place % 1 == 0 and place or nil
end

-- Adds an entry to a stream and counts it in. `stream` is the stream's place among all streams, from 0.
local function add_entry(stream_key, flow_key, stream, id, envelope, ...)
  local entry_id = redis.call('XADD', stream_key, '*', 'id', id, 'job', envelope, ...)
  return entry_id, count_waiting(flow_key, 'added', stream, stream_key)
end

-- Puts a job that has a record already into its stream.
local function enqueue(job_key, stream_key, flow_key, stream, id, envelope, ...)
  local entry_id, seq = add_entry(stream_key, flow_key, stream, id, envelope, ...)
  redis.call('HSET', job_key, 'stream', stream, 'stream_id', entry_id, 'seq', seq)
end

-- Whether a field holds an entry's id. Redis raises an error where a command is given another text.
local function is_entry_id(value)
  local milliseconds, sequence = string.match(value or '', '^(%d+)%-(%d+)$')
  return milliseconds and #milliseconds < 20 and #sequence < 20
end

-- Takes an entry out of its stream; answers 1 if it was there. XDEL only after XACK, or the entry would stay pending for ever.
-- Answers nil where a record names no stream or no entry: a worker finds that entry, and that its job is final.
local function remove_entry(stream_key, entry_id)
  if not stream_key or not is_entry_id(entry_id) then return nil end
  redis.call('XACK', stream_key, GROUP, entry_id)
  return redis.call('XDEL', stream_key, entry_id)
end

-- Takes the job from wherever it waits or is worked. The first write is one that a full memory allows; after it the
-- others are, too.
local function take_away(keys, record, id)
  if record.status == 'queued' and not record.stream_id then
    redis.call('ZREM', keys.scheduled, id)
    redis.call('HDEL', keys.retrying, id)
  else
    local removed = remove_entry(keys.stream, record.stream_id)
    if removed and record.status == 'queued' then count_waiting(keys.flow, 'left', record.stream, keys.stream) end
  end
end

-- Bytes stored are counted for each caller (in `bytes` of the caller) and for the queue (in `flow`), in buckets of ten minutes
-- by when the record will be gone: it ends without any script, and then admit.lua takes off the buckets that are over. What a
-- record has in these books is in its field `counted`: bytes, those of them that stay once it is final, and the bucket.
local BUCKET_MS = 600000

-- What a job takes in Redis beside its texts: hash, list entries, stream entry; and an Idempotency-Key beside its name.
local JOB_BYTES, KEY_BYTES = 1024, 256

local function bucket_of(gone_at)
  return math.ceil(gone_at / BUCKET_MS)
end

local function counted_of(record)
  local bytes, kept, bucket = string.match(record.counted or '', '^(%d+) (%d+) (%d+)$')
  return {bytes = number(bytes, 0), kept = number(kept, 0), bucket = number(bucket, 0)}
end

local function counted_text(counted)
  return string.format('%.0f %.0f %.0f', counted.bytes, counted.kept, counted.bucket)
end

-- Moves what one of the two books has of a job. What is not in its old bucket (any more) is not taken off. Answers whether
-- the books were begun by this.
local function move_bytes(key, old, new)
  local to = 'bytes:' .. digits(new.bucket)
  local from = old.bytes > 0 and 'bytes:' .. digits(old.bucket) or to
  local books = redis.call('HMGET', key, 'bytes', from, to)
  local held, there = number(books[2], 0), number(books[3], 0)
  local taken = math.min(held, old.bytes)
  if from == to then there = there - taken end
  local total = math.max(0, number(books[1], 0) - taken) + new.bytes
  redis.call('HSET', key, 'bytes', digits(total), from, digits(held - taken), to, digits(there + new.bytes))
  return not books[1]
end

-- The caller's books live as long as the list of the caller's jobs.
local function live_as_long(key, other_key)
  redis.call('PEXPIRE', key, math.max(redis.call('PTTL', other_key), BUCKET_MS))
end

-- Counts a job anew that is in Redis already.
local function recount_bytes(keys, old, new)
  local begun = move_bytes(keys.bytes, old, new)
  move_bytes(keys.flow, old, new)
  if begun then live_as_long(keys.bytes, keys.owner) end
end

-- For keys that should outlive every record that they name, and not by much: a little more than asked for, so that not
-- every call has to say so again. Answers whether it had to.
local function live_at_least(key, ms)
  if redis.call('PTTL', key) >= ms then return false end
  redis.call('PEXPIRE', key, digits(ms + math.floor(ms / 64)))
  return true
end

-- A day's delay, a day's wait, and room for retries. What is older by more than its storage has no record any more, unless
-- `longest_life` in `flow` says that one has lived longer.
local LONGEST_LIFE = 3 * 86400000

-- What counts where somebody overwrote how long a job is kept.
local DAY = 86400000

-- When the record of a job that ends then is deleted.
local function kept_until(record, ms)
  return math.max(ms + number(record.store_ms, DAY), number(record.keep_until, 0))
end

-- Has the caller list a record until it is gone. admit.lua throws out of that list what is older than any record became.
local function list_until(keys, created_at, gone_at, now)
  if live_at_least(keys.owner, gone_at - now) then live_as_long(keys.bytes, keys.owner) end
  local life = gone_at - created_at
  if life > LONGEST_LIFE and life > number(redis.call('HGET', keys.flow, 'longest_life'), 0) then
    redis.call('HSET', keys.flow, 'longest_life', digits(life))
  end
end

-- The same where the record lives longer than it would have if nobody had begun the job: so long admission has it listed.
local function list_longer(keys, record, gone_at, now)
  if gone_at <= kept_until(record, number(record.deadline_at, 0)) then return end
  list_until(keys, number(record.created_at, now), gone_at, now)
end

-- Writes the final state and further fields, once: callers have checked that the job is still open.
local function close(keys, record, id, status, finished_at, ...)
  take_away(keys, record, id)
  -- Not before it was stored or begun, though the clock may have stepped back since.
  local shown_at = finished_at
  if status ~= 'expired' then shown_at = math.max(finished_at, number(record.attempt_at or record.created_at, 0)) end
  local gone_at = kept_until(record, shown_at)
  local old, field, text = counted_of(record), ...
  -- What its caller can still read: metadata, and the result or the error.
  local outcome_bytes = (field == 'result' or field == 'error') and #text or 0
  local bucket = status == 'expired' and math.max(old.bucket, bucket_of(gone_at)) or bucket_of(gone_at)
  local new = {bytes = math.max(old.kept, JOB_BYTES) + outcome_bytes, kept = old.kept, bucket = bucket}
  redis.call('HSET', keys.job, 'status', status, 'finished_at', digits(shown_at), 'counted', counted_text(new), ...)
  if record.status == 'queued' or record.retried_token then redis.call('HDEL', keys.job, 'envelope', 'due', 'last_error') end
  count(keys.flow, status, 1)
  redis.call('ZREM', keys.open, id)
  -- It expired at its deadline, which may be long ago where it was given back since: its record lives on as it did.
  recount_bytes(keys, old, new)
  if status == 'expired' then return end
  redis.call('PEXPIREAT', keys.job, digits(gone_at))
  list_longer(keys, record, gone_at, finished_at)
end

-- Keeps an open job's record alive until then and for its storage, and what names it for as long. One that was begun counts
-- as open for all that time. One that was not expires at its deadline, and admit.lua has it closed then if its caller needs the
-- place. `bytes` is what is counted for it from now on, if that changes.
local function keep_open(keys, record, id, now, until_ms, is_begun, bytes)
  local gone_at = kept_until(record, until_ms)
  local old = counted_of(record)
  local new = {bytes = bytes or old.bytes, kept = old.kept, bucket = math.max(old.bucket, bucket_of(gone_at))}
  if record.counted and (new.bytes ~= old.bytes or new.bucket ~= old.bucket) then
    redis.call('HSET', keys.job, 'counted', counted_text(new))
    recount_bytes(keys, old, new)
  end
  redis.call('PEXPIREAT', keys.job, digits(gone_at))
  redis.call('ZADD', keys.open, digits(is_begun and gone_at or number(record.deadline_at, now)), id)
  live_at_least(keys.open, gone_at - now)
  list_longer(keys, record, gone_at, now)
end
