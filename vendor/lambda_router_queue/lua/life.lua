-- Shared by the scripts of the queue, behind record.lua: how long a record lives, how its bytes are counted, and how a
-- job ends.

-- Stored bytes are counted for each caller (in the caller's `bytes`) and for the queue (in `flow`), in buckets of ten
-- minutes by when the record will be gone. Records expire without any script, so admit.lua later subtracts the buckets
-- that are over. A record's share is in its field `counted`: bytes, those of them that stay once it is final, and the
-- bucket.
local BUCKET_MS = 600000

-- A record that will be gone up to this many buckets sooner stays in its bucket: moving it costs more than counting it
-- for an hour too long.
local MOST_BUCKETS_LATE = 6

-- Bytes that a job takes in Redis besides its texts (hash, list entries, stream entry), and an Idempotency-Key besides
-- its name.
local JOB_BYTES, KEY_BYTES = 1024, 256

local function bucket_of(gone_at)
  return math.ceil(gone_at / BUCKET_MS)
end

local function bucket_name(bucket)
  return 'bytes:' .. digits(bucket)
end

-- The share counted for a record: bytes, those that stay, bucket. Each is 0 for a record that an older release wrote.
local function counted_of(record)
  local bytes, kept, bucket = string.match(record.counted or '', '^(%d+) (%d+) (%d+)$')
  return number(bytes, 0), number(kept, 0), number(bucket, 0)
end

local function counted_text(bytes, kept, bucket)
  return string.format('%d %d %d', bytes, kept, bucket)
end

-- The arguments of HSET that update one of the two books, in all and in the two buckets: a job no longer counts for
-- `bytes` in the bucket `from`, but for `bytes_now` in `to`. Only what the old bucket still
-- holds is subtracted.
local function moved(book, from, bytes, to, bytes_now)
  local held = number(book[from], 0)
  local taken = math.min(held, bytes)
  local total = math.max(0, number(book.bytes, 0) - taken) + bytes_now
  if from == to then return 'bytes', total, to, held - taken + bytes_now end
  return 'bytes', total, from, held - taken, to, number(book[to], 0) + bytes_now
end

-- Makes the caller's books live as long as the list of the caller's jobs.
local function live_as_long(key, other_key)
  redis.call('PEXPIRE', key, math.max(redis.call('PTTL', other_key), BUCKET_MS))
end

local function move_in_callers_book(keys, from, bytes, to, bytes_now)
  local book = read(keys.bytes, 'bytes', from, to)
  redis.call('HSET', keys.bytes, moved(book, from, bytes, to, bytes_now))
  if not book.bytes then live_as_long(keys.bytes, keys.owner) end
end

-- Updates what is counted for a record that lives on.
local function recount(keys, record, bytes_now, kept_now, bucket_now)
  local bytes, _, bucket = counted_of(record)
  local to = bucket_name(bucket_now)
  local from = bytes > 0 and bucket_name(bucket) or to
  redis.call('HSET', keys.job, 'counted', counted_text(bytes_now, kept_now, bucket_now))
  move_in_callers_book(keys, from, bytes, to, bytes_now)
  redis.call('HSET', keys.flow, moved(read(keys.flow, 'bytes', from, to), from, bytes, to, bytes_now))
end

-- Extends the life of a key that should outlive every record that it names, but not by much. It adds a little, so that
-- not every call has to extend it again. Returns whether it did.
local function live_at_least(key, ms)
  if redis.call('PTTL', key) >= ms then return false end
  redis.call('PEXPIRE', key, ms + math.floor(ms / 64))
  return true
end

-- A day of delay, a day of waiting, and room for retries. An entry that is older by more than its storage time has no
-- record any more, unless `longest_life` in `flow` says that one has lived longer.
local LONGEST_LIFE = 3 * 86400000

-- The default if somebody overwrote how long a job is kept.
local DAY = 86400000

-- The time at which the record of a job that ends at `ms` is deleted.
local function kept_until(record, ms)
  return math.floor(math.max(ms + number(record.store_ms, DAY), number(record.keep_until, 0)))
end

-- The default if the job's router is older than the setting.
local EVENTS_MS = 600000

-- Keeps live output for a while, but not longer than the record, even if the job ends now. Renewals keep it while the
-- job runs.
local function keep_output(job_key, events_key, record, now)
  local ms = math.min(number(record.events_ms, EVENTS_MS), kept_until(record, now) - now, redis.call('PTTL', job_key))
  redis.call('PEXPIRE', events_key, math.max(1, ms))
end

-- Keeps a record in its caller's list until it is gone. admit.lua removes entries older than any record has become.
local function list_until(keys, created_at, gone_at, now)
  if live_at_least(keys.owner, gone_at - now) then live_as_long(keys.bytes, keys.owner) end
  local life = gone_at - created_at
  if life > LONGEST_LIFE and life > number(redis.call('HGET', keys.flow, 'longest_life'), 0) then
    redis.call('HSET', keys.flow, 'longest_life', life)
  end
end

-- Returns whether a record kept until `gone_at`, since its job waited, ran or ended at `then_ms`, lives longer than if
-- nobody had begun the job. Up to that time, admission has made sure that it is listed and counted.
local function lives_longer(record, then_ms, gone_at)
  local deadline = number(record.deadline_at, 0)
  return then_ms > deadline and gone_at > kept_until(record, deadline)
end

-- The next value of a moving average. Never below 0, even if the server's clock stepped back in between.
local function average(old, milliseconds)
  local value = math.max(0, milliseconds)
  local before = number(old, value)
  return string.format('%.3f', before + (value - before) * 0.1)
end

-- Writes the final state and further fields, once: callers have checked that the job is still open. `is_answered` says
-- whether a worker's outcome ends it.
local function close(keys, record, id, status, finished_at, is_answered, ...)
  take_away(keys, record, id)
  -- Not before it was stored or begun, even if the clock has stepped back since.
  local shown_at = finished_at
  if status ~= 'expired' then shown_at = math.max(finished_at, math.floor(number(record.attempt_at or record.created_at, 0))) end
  local gone_at = kept_until(record, shown_at)
  local bytes, kept, bucket = counted_of(record)
  local bucket_now = bucket_of(gone_at)
  -- An expired job ended at its deadline, which may be long ago if it was given back since. Its record lives on as before.
  if bytes > 0 and bucket_now < bucket and (status == 'expired' or bucket <= bucket_now + MOST_BUCKETS_LATE) then
    bucket_now = bucket
  end
  -- Its caller can still read the metadata, and the result or the error; for a while the live output, too.
  local field, text = ...
  local bytes_now = math.max(kept, JOB_BYTES) + ((field == 'result' or field == 'error') and #text or 0)
    + number(record.output_bytes, 0)
  local to = bucket_name(bucket_now)
  local from = bytes > 0 and bucket ~= bucket_now and bucket_name(bucket) or to
  redis.call('HSET', keys.job, 'status', status, 'finished_at', shown_at,
    'counted', counted_text(bytes_now, kept, bucket_now), ...)
  if record.status == 'queued' or record.retried_token then redis.call('HDEL', keys.job, 'envelope', 'due', 'last_error') end
  redis.call('ZREM', keys.open, id)
  move_in_callers_book(keys, from, bytes, to, bytes_now)
  local flow = read(keys.flow, status, 'bytes', from, to, 'finished_at', 'gap_ms', 'service_ms')
  local ended = number(flow[status], 0) + 1
  if is_answered then
    -- How the queue moves: the time between finished jobs, and the time that a completed job took.
    local gap_ms = average(flow.gap_ms, math.min(finished_at - number(flow.finished_at, finished_at), 600000))
    local service_ms = status == 'completed' and average(flow.service_ms, finished_at - number(record.attempt_at, finished_at))
    redis.call('HSET', keys.flow, status, ended, 'finished_at', finished_at, 'gap_ms', gap_ms,
      service_ms and 'service_ms' or 'gap_ms', service_ms or gap_ms, moved(flow, from, bytes, to, bytes_now))
  else
    redis.call('HSET', keys.flow, status, ended, moved(flow, from, bytes, to, bytes_now))
  end
  if status == 'expired' then return end
  redis.call('PEXPIREAT', keys.job, gone_at)
  if lives_longer(record, shown_at, gone_at) then list_until(keys, number(record.created_at, finished_at), gone_at, finished_at) end
end

-- Keeps an open job's record alive until `until_ms` plus its storage time, and whatever names it for as long. A job
-- that was begun counts as open for all that time. One that was not begun expires at its deadline, and admit.lua has it
-- closed then if its caller needs the place. `bytes` is what is counted for it from now on, if that changes.
local function keep_open(keys, record, id, now, until_ms, is_begun, bytes)
  local gone_at = kept_until(record, until_ms)
  local is_longer = lives_longer(record, until_ms, gone_at)
  if record.counted and (bytes or is_longer) then
    local bytes_before, kept, bucket = counted_of(record)
    recount(keys, record, bytes or bytes_before, kept, math.max(bucket, bucket_of(gone_at)))
  end
  redis.call('PEXPIREAT', keys.job, gone_at)
  local is_new = redis.call('ZADD', keys.open, is_begun and gone_at or number(record.deadline_at, now), id) == 1
  if is_longer or is_new then live_at_least(keys.open, gone_at - now) end
  if is_longer then list_until(keys, number(record.created_at, now), gone_at, now) end
end
