-- Shared by the scripts of the queue. Blank lines separate blocks, and the loader puts in front of a script those that
-- it uses.
-- A job's record is a hash. While the job is open, its entry is in one of the queue's streams, or its envelope is in
-- the record and its id in the sorted set `scheduled`.

local GROUP = 'workers'

-- The consumer of entries that were given back. There may be some while `flow` has the field `released`. They are idle
-- for longer than any lease, so that a sweep takes them too.
local RELEASED = 'released'
local RELEASED_IDLE_MS = 7 * 24 * 3600 * 1000

-- The layout of a queue's streams, from vendor/lambda_router_queue/queue_keys.py.
-- <!-- generated: topology -->

local LANES = 4

local PRIORITIES = 3

local STREAMS = LANES * PRIORITIES

-- The first stream of each priority, from 0.
local FIRST_LANES = {high = 0, normal = 4, low = 8}

-- The lane of a caller's next job, by how many open jobs the caller has: its first job never stands behind another
-- caller's hundredth.
local function lane_of(open)
  return open < 1 and 0 or open < 4 and 1 or open < 16 and 2 or 3
end

-- How many fields say how the queue moves.
local FIGURES = 27

-- How the queue moves: for each stream the jobs added to its line and those that left it, then service_ms, slots and
-- slots_at, and then what else is asked for; 0 for what was never counted.
local function figures(flow_key, ...)
  local values = redis.call('HMGET', flow_key,
    'added:0', 'left:0', 'added:1', 'left:1', 'added:2', 'left:2',
    'added:3', 'left:3', 'added:4', 'left:4', 'added:5', 'left:5',
    'added:6', 'left:6', 'added:7', 'left:7', 'added:8', 'left:8',
    'added:9', 'left:9', 'added:10', 'left:10', 'added:11', 'left:11',
    'service_ms', 'slots', 'slots_at', ...)
  for i = 1, #values do values[i] = values[i] or '0' end
  return values
end

-- <!-- end -->

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- A number for use inside a text: Lua would print a large one as 1.7e+12. A number as an argument does not need this.
local function digits(number)
  return string.format('%d', number)
end

-- The largest number that Lua counts to exactly. No time and no count of ours comes near it.
local MOST = 2 ^ 53

-- The number in a field, or `default` if it cannot be a time or a count.
-- Anybody with access to Redis may have written the field.
local function number(value, default)
  local found = tonumber(value)
  if found and found >= 0 and found <= MOST then return found end -- the comparison excludes NaN, too
  return default
end

-- Adds to a count and returns it. A count that was overwritten starts again.
local function count(key, field, change)
  local counted = redis.pcall('HINCRBY', key, field, change)
  if type(counted) == 'number' and counted >= 0 and counted <= MOST then return counted end
  local restarted = math.max(0, change)
  redis.call('HSET', key, field, restarted) -- raises any other error, such as a full memory
  return restarted
end

-- The requested fields, as a table by name; missing fields are false.
local function read(job_key, ...)
  local names, values, record = {...}, redis.call('HMGET', job_key, ...), {}
  for i = 1, #names do record[names[i]] = values[i] end
  return record
end

-- The most bytes of an error's message and code: MAX_ERROR_MESSAGE_BYTES and MAX_ERROR_CODE_BYTES of
-- vendor/lambda_router_queue/models.py. Workers in other languages may send more.
local MESSAGE_BYTES = 4096
local CODE_BYTES = 64
local CUT_MARK = '\226\128\166'

-- The first `bytes` bytes of a text in UTF-8, or fewer, so that it does not end within a character.
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

-- The same for an error that is JSON already. A long text that is not an error is cut anywhere: nobody can read it.
local function short_error(json)
  if #json <= MESSAGE_BYTES then return json end
  local is_json, found = pcall(cjson.decode, json)
  if is_json and type(found) == 'table' and type(found.code) == 'string' and type(found.message) == 'string' then
    return error_json(found.code, found.message)
  end
  return string.sub(json, 1, MESSAGE_BYTES)
end

-- The fields that every change of state needs, and further requested fields.
local function read_open(job_key, ...)
  return read(job_key, 'status', 'deadline_at', 'created_at', 'stream', 'stream_id', 'store_ms', 'keep_until', 'attempt_at',
    'retried_token', 'counted', 'output_bytes', 'events_ms', ...)
end

-- Resets the two counts of one stream after one was overwritten, as if all of its entries waited.
local function recount_waiting(flow_key, stream, stream_key)
  local added, left = 'added:' .. stream, 'left:' .. stream
  local length = redis.call('XLEN', stream_key)
  local counts = read(flow_key, added, left)
  local gone = math.floor(number(counts[left], math.max(0, number(counts[added], 0) - length)))
  counts = {added = gone + length, left = gone}
  redis.call('HSET', flow_key, added, counts.added, left, counts.left)
  return counts
end

-- Counts jobs into and out of waiting, stream by stream. A job's place in line is the difference of two counters.
local function count_waiting(flow_key, change, stream, stream_key)
  local counted = redis.pcall('HINCRBY', flow_key, change .. ':' .. stream, 1)
  if type(counted) == 'number' and counted > 0 and counted <= MOST then return counted end
  return recount_waiting(flow_key, stream, stream_key)[change]
end

-- The figures as a line of numbers, which vendor/lambda_router_queue/flow.py parses.
local function line_of(values)
  return table.concat(values, ' ', 1, FIGURES)
end

-- The stream that a field names by its place among all streams, from 0; nil if it names none.
local function stream_place(value)
  local place = number(value, STREAMS)
  return place < STREAMS and place % 1 == 0 and place or nil
end

-- Adds a job that has a record already to its stream, and counts it. `stream` is the stream's place among all, from 0.
local function enqueue(job_key, stream_key, flow_key, stream, id, envelope, ...)
  local entry_id = redis.call('XADD', stream_key, '*', 'id', id, 'job', envelope, ...)
  local seq = count_waiting(flow_key, 'added', stream, stream_key)
  redis.call('HSET', job_key, 'stream', stream, 'stream_id', entry_id, 'seq', seq)
end

-- Returns whether a field contains an entry's id. Redis raises an error if a command is given another text.
local function is_entry_id(value)
  local milliseconds, sequence = string.match(value or '', '^(%d+)%-(%d+)$')
  return milliseconds and #milliseconds < 20 and #sequence < 20
end

-- Removes an entry from its stream; returns 1 if it was there. XACK comes before XDEL, or the entry would stay pending
-- forever. Returns nil if a record names no stream or no entry: a worker finds that entry, and that its job is final.
local function remove_entry(stream_key, entry_id)
  if not stream_key or not is_entry_id(entry_id) then return nil end
  redis.call('XACK', stream_key, GROUP, entry_id)
  return redis.call('XDEL', stream_key, entry_id)
end

-- Removes the job from wherever it waits or is processed. A full memory allows the first write, and then the others.
local function take_away(keys, record, id)
  if record.status == 'queued' and not record.stream_id then
    redis.call('ZREM', keys.scheduled, id)
    redis.call('HDEL', keys.retrying, id)
  else
    local removed = remove_entry(keys.stream, record.stream_id)
    if removed and record.status == 'queued' then count_waiting(keys.flow, 'left', record.stream, keys.stream) end
  end
end
