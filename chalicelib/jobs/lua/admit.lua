#!lua
-- Decides on one or more new jobs of one caller. Each job is checked, in order, against:
-- idempotency -> rate -> open-jobs cap -> queue cap -> cap on delayed jobs -> the caller's bytes -> the queue's bytes.
-- An accepted job gets a record and joins a stream, or the sorted set if it is delayed.
-- The last places of the queue, and of delayed jobs, are reserved for callers without an open job. The last of the
-- queue's bytes are reserved for callers who store little.
-- A rejected job changes nothing, with one exception: if the time in the key rate is more than a full burst from now,
-- because the clock stepped back or a setting changed, it is cut to a full burst from now. Safe to send twice.
--
-- KEYS  1 scheduled  2 owner  3 open  4 rate  5 flow  6 retrying  7 bytes  8-19 streams
--       then two keys per job: job; and idempotency or tries (or, if it has neither, job again)
-- ARGV  1 store ms  2 idempotency ms  3 rate interval ms  4 rate burst  5 open-jobs cap  6 queue cap
--       7 percent of the caps for newcomers  8 percent of the queue cap for delayed jobs
--       9 most bytes stored for the caller  10 and for the queue
--       11 queue  12 owner  13 request id  14 traceparent  15 ms that live output outlives its job's end
--       then per job: id, envelope without its times, fingerprint, ttl ms, delay ms, priority (0-2),
--       use of the second key: 'none', 'key' for an Idempotency-Key, or 'try N' for a client that repeats a request by
--       itself (N is 0 for the first try); type, priority's name, metadata, store (0 or 1), the request as the OpenAI
--       API shows it (or empty), which is removed with the result or with the record
-- Answers lines of words separated by spaces.
--   Line 1, about the caller: jobs that may be sent now, ms until the full burst is available again, now ms. After a
--   rejection by a cap, up to 100 ids of the caller's expired jobs follow. They hold places until settle.lua closes
--   them.
--   Line 2: the queue's figures: those fields of flow that vendor/lambda_router_queue/flow.py lists as FIGURES.
--   One line for each job: verdict, created ms, ms to wait, id and, if the job is in line, its stream and its seq.
--   verdict: accepted | replayed | reused | rate | open | full | delayed | caller_bytes | queue_bytes

local scheduled_key, owner_key, open_key, rate_key, flow_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local retrying_key, bytes_key = KEYS[6], KEYS[7]
local FIRST_STREAM, FIRST_JOB = 8, 8 + STREAMS
local LAST_JOB = (#KEYS - FIRST_JOB + 1) / 2 - 1
local store, remember = tonumber(ARGV[1]), tonumber(ARGV[2])
local interval, burst = tonumber(ARGV[3]), tonumber(ARGV[4])
local open_cap, queue_cap = tonumber(ARGV[5]), tonumber(ARGV[6])
local delayed_cap = math.ceil(queue_cap * tonumber(ARGV[8]) / 100)
local caller_bytes_cap, queue_bytes_cap = tonumber(ARGV[9]), tonumber(ARGV[10])
local ARGS_BEFORE, ARGS_EACH = 15, 12
local MOST_LAPSED = 100
local now = now_ms()
local now_digits = digits(now)

-- The part of a cap that callers with an open job may fill. Without a reserve, a few callers could keep out everybody
-- for as long as their jobs wait.
local newcomers_percent = tonumber(ARGV[7])
local queue_shared = queue_cap - math.floor(queue_cap * newcomers_percent / 100)
local delayed_shared = delayed_cap - math.floor(delayed_cap * newcomers_percent / 100)
-- Finished jobs are stored as well, so a caller without an open job may store much. Of the bytes in reserve, each
-- caller may fill a hundredth.
local newcomers_bytes = math.floor(queue_bytes_cap * newcomers_percent / 100)
local little_bytes, queue_bytes_shared = newcomers_bytes / 100, queue_bytes_cap - newcomers_bytes

-- GCRA: the time at which the caller will have used up what it sent so far, at most a full burst ahead. If it is
-- further ahead, the server's clock has stepped back or the policy allows less than before.
local used_up = number(redis.call('GET', rate_key), now)
local before = math.max(math.min(used_up, now + burst * interval), now)
local arrival = before

-- Removes the buckets that are over, and those too far ahead for any record. Recomputes the sum, whatever it was.
local MOST_BUCKETS = 60 * 86400000 / BUCKET_MS
local function sweep_bytes(key, bucket_now)
  local fields, total = redis.call('HGETALL', key), 0
  for i = 1, #fields, 2 do
    local bucket = tonumber(string.match(fields[i], '^bytes:(%d+)$'))
    if bucket and (bucket <= bucket_now or bucket > bucket_now + MOST_BUCKETS) then
      redis.call('HDEL', key, fields[i])
    elseif bucket then
      total = total + number(fields[i + 1], 0)
    end
  end
  redis.call('HSET', key, 'bytes', total, 'bytes_swept', bucket_now)
  return total
end

-- The bytes stored. They are swept first, once per bucket's time or if the clock stepped back.
local function stored_bytes(key, total, swept, bucket_now)
  if number(total, 0) > 0 and number(swept, 0) ~= bucket_now then return sweep_bytes(key, bucket_now) end
  return number(total, 0)
end

-- The fields after the figures: jobs in the queue, and jobs ever added to streams, at the last count; the time of that
-- count; the longest life of a record. Then the bytes stored, in all and in the buckets of these jobs.
local DEPTH, ADDED, COUNTED_AT, LONGEST, BYTES = FIGURES + 1, FIGURES + 2, FIGURES + 3, FIGURES + 4, FIGURES + 5
local lives, keeps, buckets, bucket_names, bucket_places = {}, {}, {}, {}, {}
for i = 0, LAST_JOB do
  local a = ARGS_BEFORE + i * ARGS_EACH
  -- A record lives as long as its idempotency key, but the key must not extend the life of a result that is not kept.
  keeps[i] = ARGV[a + 11] ~= '0' and remember or math.min(remember, store)
  lives[i] = math.max(ARGV[a + 5] + ARGV[a + 4] + store, keeps[i])
  local bucket = 'bytes:' .. digits(bucket_of(now + lives[i]))
  if not bucket_places[bucket] then
    table.insert(bucket_names, bucket)
    bucket_places[bucket] = #bucket_names
  end
  buckets[i] = bucket
end
local flow = figures(flow_key, 'depth', 'depth_added', 'depth_at', 'longest_life', 'bytes', 'bytes_swept', unpack(bucket_names))
local books = redis.call('HMGET', bytes_key, 'bytes', 'bytes_swept', unpack(bucket_names))
local bucket_now = math.floor(now / BUCKET_MS)
local caller_bytes = stored_bytes(bytes_key, books[1], books[2], bucket_now)
local queue_bytes = stored_bytes(flow_key, flow[BYTES], flow[BYTES + 1], bucket_now)
local bytes_added, added_to = 0, {} -- by these jobs, in all and per bucket
local longest_life = math.max(LONGEST_LIFE, number(flow[LONGEST], 0))
local added = 0
for place = 1, 2 * STREAMS, 2 do
  if flow[place] ~= '0' then added = added + number(flow[place], 0) end
end

-- Jobs in the queue: waiting, delayed and in progress. They are not recounted at each call. A count of the last
-- second plus the jobs added since is never too low. If it seems too high, they are recounted.
local counted = false
local delayed = 0 -- of these jobs
local delayed_before -- earlier ones that are not begun; counted only if a job is delayed
local added_then = number(flow[ADDED], 0)
local depth = number(flow[DEPTH], queue_cap) + added - added_then
local age = now - number(flow[COUNTED_AT], 0)
if age < 0 or age > 1000 or added < added_then or depth + #KEYS >= queue_shared then
  counted = true
  depth = redis.call('ZCARD', scheduled_key)
  for i = FIRST_STREAM, FIRST_JOB - 1 do depth = depth + redis.call('XLEN', KEYS[i]) end
  flow[DEPTH], flow[ADDED] = depth, added
end

-- An expired job counts until it has left the queue. Otherwise a caller could fill the queue with short-lived jobs
-- while no worker has room. Once a second, ids of this caller that outlived any record are removed.
if counted then redis.call('ZREMRANGEBYSCORE', open_key, '-inf', now - longest_life - store - remember) end
local open = redis.call('ZCARD', open_key)

local function add_field(fields, name, value)
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end

-- The line of the first attempt, if this is a retry because its reply was lost.
local function answered(job_key, id)
  local record = read(job_key, 'created_at', 'stream', 'seq')
  if not record.created_at then return false end
  local place, seq = stream_place(record.stream), number(record.seq)
  local created = digits(number(record.created_at, now))
  return table.concat({'accepted', created, 0, id, place, place and seq and digits(seq)}, ' ')
end

-- Deliberately one long loop: functions that hold variables of the script are created again at every call, and eight of
-- them took a tenth of its time.
local lines, lengthened = {}, {}
local over_cap, lists_longer = false, false
for i = 0, LAST_JOB do
  local job_key, idem_key = KEYS[FIRST_JOB + 2 * i], KEYS[FIRST_JOB + 2 * i + 1]
  local a = ARGS_BEFORE + i * ARGS_EACH
  local id, fingerprint, keyed, stored = ARGV[a + 1], ARGV[a + 3], ARGV[a + 7] == 'key', ARGV[a + 11] ~= '0'
  local openai, try = ARGV[a + 12], tonumber(string.match(ARGV[a + 7], '^try (%d+)$'))
  local delay = tonumber(ARGV[a + 5])
  local kept = JOB_BYTES + #ARGV[a + 10] + #openai + (keyed and KEY_BYTES + #idem_key or 0)
  local bytes = kept + #ARGV[a + 2]
  local verdict, wait, named, repeated = 'accepted', 0, id, false
  if keyed then
    local first_id, first_fingerprint = string.match(redis.call('GET', idem_key) or '', '^(%S+) (%S+)$')
    if first_id and first_id ~= id then
      verdict, named = first_fingerprint == fingerprint and 'replayed' or 'reused', first_id
    end
  end
  local tries = try and redis.call('GET', idem_key) or ''
  local first_id = try and earlier_try(tries, try, id, now)
  if first_id and first_id ~= id then
    verdict, named = 'replayed', first_id
    redis.call('SET', idem_key, with_try(tries, first_id, try, id, now), 'PX', TRIES_MS)
  end
  if verdict == 'accepted' then
    local too_early = arrival + interval - burst * interval - now
    if too_early > 0 then
      verdict, wait = 'rate', math.ceil(too_early)
    elseif open >= open_cap then
      verdict = 'open'
    elseif depth >= (open == 0 and queue_cap or queue_shared) then
      verdict = 'full'
    elseif delay > 0 then
      if not delayed_before then
        local retried = redis.pcall('HLEN', retrying_key) -- where it is forbidden, all of them count
        delayed_before = redis.call('ZCARD', scheduled_key) - (type(retried) == 'number' and retried or 0)
      end
      if delayed_before + delayed >= (open == 0 and delayed_cap or delayed_shared) then verdict = 'delayed' end
    end
    if verdict == 'accepted' then
      local own = caller_bytes + bytes_added + bytes
      if own > caller_bytes_cap then
        verdict = 'caller_bytes'
      elseif queue_bytes + bytes_added + bytes > (own <= little_bytes and queue_bytes_cap or queue_bytes_shared) then
        verdict = 'queue_bytes'
      end
    end
    if verdict ~= 'accepted' or redis.call('ZADD', owner_key, 'NX', now, id) == 0 then repeated = answered(job_key, id) end
  end

  if repeated then
    lines[i + 3] = repeated
  elseif verdict ~= 'accepted' then
    lines[i + 3] = table.concat({verdict, now_digits, digits(wait), named}, ' ')
    over_cap = over_cap or not (verdict == 'rate' or verdict == 'replayed' or verdict == 'reused')
  else
    local due = now + delay
    local deadline = due + tonumber(ARGV[a + 4])
    local keep, life, bucket = keeps[i], lives[i], buckets[i]
    local counted_for = string.format('%d %d %s', bytes, kept, string.sub(bucket, 7))
    local stream = tonumber(ARGV[a + 6]) * LANES + lane_of(open)
    local envelope = '{"created_at":' .. now_digits .. ',"deadline_at":' .. digits(deadline) .. ',' .. string.sub(ARGV[a + 2], 2)
    local entry_id, seq, more
    if delay == 0 then
      entry_id = redis.call('XADD', KEYS[FIRST_STREAM + stream], '*', 'id', id, 'job', envelope)
      seq = number(flow[2 * stream + 1], -1) + 1
      if seq < 1 or seq % 1 > 0 then seq = count_waiting(flow_key, 'added', stream, KEYS[FIRST_STREAM + stream]) end
      flow[2 * stream + 1] = digits(seq)
      lengthened[stream] = true
      more = {'stream_id', entry_id, 'seq', seq}
    else
      delayed = delayed + 1
      redis.call('ZADD', scheduled_key, due, id)
      more = {'envelope', envelope, 'due', due}
    end
    if not stored then add_field(more, 'store', '0') end
    if openai ~= '' then add_field(more, 'openai', openai) end
    redis.call('HSET', job_key, 'id', id, 'status', 'queued', 'created_at', now, 'deadline_at', deadline,
      'store_ms', ARGV[1], 'keep_until', now + keep, 'type', ARGV[a + 8], 'priority', ARGV[a + 9],
      'metadata', ARGV[a + 10], 'queue', ARGV[11], 'owner', ARGV[12], 'request_id', ARGV[13], 'traceparent', ARGV[14],
      'stream', stream, 'counted', counted_for, 'events_ms', ARGV[15], unpack(more))
    redis.call('PEXPIRE', job_key, life)
    redis.call('ZADD', open_key, deadline, id)
    if life > longest_life then
      longest_life = life
      redis.call('HSET', flow_key, 'longest_life', life)
    end
    -- The caller's lists outlive every record that they name.
    live_at_least(open_key, life)
    if live_at_least(owner_key, life) then -- a few times a day, often enough to limit the list
      lists_longer = true
      -- Workers remove ids without a record sooner (forget.lua). This covers callers whose ids no worker meets.
      redis.call('ZREMRANGEBYSCORE', owner_key, '-inf', now - longest_life - store - remember)
    end
    if keyed then redis.call('SET', idem_key, id .. ' ' .. fingerprint, 'PX', keep) end
    if try then redis.call('SET', idem_key, with_try(tries, id, try, id, now), 'PX', TRIES_MS) end
    arrival, open, depth = arrival + interval, open + 1, depth + 1
    bytes_added, added_to[bucket] = bytes_added + bytes, (added_to[bucket] or 0) + bytes
    lines[i + 3] = table.concat({'accepted', now_digits, 0, id, stream, seq}, ' ')
  end
end

if arrival > before then
  local of_caller, of_queue = {'bytes', caller_bytes + bytes_added}, {'bytes', queue_bytes + bytes_added}
  for bucket, added in pairs(added_to) do
    local place = bucket_places[bucket]
    add_field(of_caller, bucket, number(books[2 + place], 0) + added)
    add_field(of_queue, bucket, number(flow[BYTES + 1 + place], 0) + added)
  end
  if not books[2] then add_field(of_caller, 'bytes_swept', bucket_now) end
  if number(flow[BYTES + 1], 0) == 0 then add_field(of_queue, 'bytes_swept', bucket_now) end
  for stream in pairs(lengthened) do add_field(of_queue, 'added:' .. stream, flow[2 * stream + 1]) end
  if counted then
    add_field(of_queue, 'depth', flow[DEPTH] + delayed)
    add_field(of_queue, 'depth_added', flow[ADDED])
    add_field(of_queue, 'depth_at', now)
  elseif delayed > 0 then
    count(flow_key, 'depth', delayed)
  end
  redis.call('HSET', flow_key, unpack(of_queue))
  redis.call('HSET', bytes_key, unpack(of_caller))
  if lists_longer or not books[1] then live_as_long(bytes_key, owner_key) end
end
if arrival > before or used_up > before then
  -- Even if all jobs were rejected: a time beyond a full burst would otherwise be found at every call.
  redis.call('SET', rate_key, arrival, 'PX', math.ceil(arrival - now))
end
local remaining = math.max(0, math.floor((burst * interval - (arrival - now)) / interval + 1e-6))
lines[1] = table.concat({remaining, digits(math.ceil(arrival - now)), now_digits}, ' ')
if over_cap then
  for _, id in ipairs(redis.call('ZRANGE', open_key, '-inf', now_digits, 'BYSCORE', 'LIMIT', 0, MOST_LAPSED)) do
    if string.find(id, '^[%w_]+$') then lines[1] = lines[1] .. ' ' .. id else redis.call('ZREM', open_key, id) end
  end
end
lines[2] = line_of(flow)
return table.concat(lines, '\n')
