-- Shared by every script of the queue: the loader puts this text in front of each of them.
-- A job's record is a hash; its entry stands in one of the queue's streams while the job is open.

local GROUP = 'workers'

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Lua prints large numbers as 1.7e+12; Redis wants digits.
local function digits(number)
  return string.format('%.0f', number)
end

-- The fields asked for, as a table by name; absent fields are false.
local function read(job_key, ...)
  local names = {...}
  local values = redis.call('HMGET', job_key, unpack(names))
  local record = {}
  for i, name in ipairs(names) do record[name] = values[i] end
  return record
end

-- Takes the job's entry out of its stream. XDEL only after XACK, or the entry would stay pending for ever.
local function remove_entry(stream_key, stream_id)
  if not stream_id then return end
  redis.call('XACK', stream_key, GROUP, stream_id)
  redis.call('XDEL', stream_key, stream_id)
end

-- Writes the final state, once: callers have checked that the job is still open.
local function close(job_key, open_key, stream_key, record, job_id, status, finished_at, ...)
  redis.call('HSET', job_key, 'status', status, 'finished_at', digits(finished_at), ...)
  redis.call('PEXPIREAT', job_key, digits(math.max(finished_at + tonumber(record.store_ms), tonumber(record.keep_until))))
  remove_entry(stream_key, record.stream_id)
  redis.call('ZREM', open_key, job_id)
end

-- Keeps a running job's lease, its place among its caller's open jobs and its record alive until then.
local function hold_lease(job_key, open_key, record, job_id, until_ms)
  redis.call('HSET', job_key, 'lease_until', digits(until_ms))
  redis.call('ZADD', open_key, digits(until_ms), job_id)
  redis.call('PEXPIREAT', job_key, digits(math.max(until_ms + tonumber(record.store_ms), tonumber(record.keep_until))))
end
