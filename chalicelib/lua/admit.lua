#!lua
-- Decides everything about one or more new jobs of one caller: for each, in order,
-- idempotency -> rate -> open-jobs cap -> queue cap -> record -> stream (or the sorted set, when delayed).
-- A refused job changes nothing. Safe to send twice.
--
-- KEYS  1 scheduled  2 owner  3 open  4 rate  5 flow  6-17 streams  then per job: job, idempotency (or job again)
-- ARGV  1 store ms  2 idempotency ms  3 rate interval ms  4 rate burst  5 open-jobs cap  6 queue cap
--       7 queue  8 owner  9 request id  10 traceparent
--       then per job: id, envelope without its times, fingerprint, ttl ms, delay ms, priority (0-2), keyed (0 or 1),
--       type, priority's name, metadata, store (0 or 1)
-- Answers lines of words: jobs that may be sent now, ms until the burst is whole, now ms; then the queue's figures; then of
--   each job: verdict, created ms, ms to wait, id, and where it stands in line its stream and its place in it
--   verdict: accepted | replayed | reused | rate | open | full

local scheduled_key, owner_key, open_key, rate_key, flow_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FIRST_STREAM, FIRST_JOB = 6, 18
local store, remember = tonumber(ARGV[1]), tonumber(ARGV[2])
local interval, burst = tonumber(ARGV[3]), tonumber(ARGV[4])
local open_cap, queue_cap = tonumber(ARGV[5]), tonumber(ARGV[6])
local ARGS_BEFORE, ARGS_EACH = 10, 11
-- A day's delay, a day's wait, and room for retries: what is older by more than its storage has no record any more. Workers
-- take ids without a record out of a list sooner (forget.lua); this is for callers whose jobs no such worker meets.
local LONGEST_LIFE = 3 * 86400000
local now = now_ms()

-- GCRA: the time at which the caller will have used up what it sent so far.
local before = math.max(tonumber(redis.call('GET', rate_key) or now), now)
local arrival = before

-- Behind the figures: jobs in the queue, and jobs ever added to streams, when they were last counted; and when that was.
local DEPTH, ADDED, COUNTED_AT = FIGURES + 1, FIGURES + 2, FIGURES + 3
local flow = figures(flow_key, 'depth', 'depth_added', 'depth_at')

local function added()
  local sum = 0
  for stream = 0, STREAMS - 1 do sum = sum + flow[2 * stream + 1] end
  return sum
end

-- Jobs in the queue, waiting, delayed and at work. They are not counted for each job: what was counted within the last
-- second and what was added since is as many or more, and where it seems too many they are counted anew.
local counted = false
local delayed = 0
local depth = flow[DEPTH] + added() - flow[ADDED]
local age = now - flow[COUNTED_AT]
if age < 0 or age > 1000 or depth + #KEYS >= queue_cap then
  counted = true
  depth = redis.call('ZCARD', scheduled_key)
  for i = FIRST_STREAM, FIRST_JOB - 1 do depth = depth + redis.call('XLEN', KEYS[i]) end
  flow[DEPTH], flow[ADDED] = depth, added()
end

-- What counts no more is taken off once a second, of the caller at hand.
if counted then redis.call('ZREMRANGEBYSCORE', open_key, '-inf', now) end
local open = redis.call('ZCOUNT', open_key, '(' .. digits(now), '+inf')

-- The lane goes by how many open jobs the caller has: its first job never stands behind another caller's hundredth.
local function lane()
  if open < 1 then return 0 elseif open < 4 then return 1 elseif open < 16 then return 2 else return 3 end
end

-- The caller's lists outlive every record that they name.
local function keep_lists(life)
  live_at_least(open_key, life)
  if live_at_least(owner_key, life) then -- a few times a day, which is often enough for a list to end somewhere
    redis.call('ZREMRANGEBYSCORE', owner_key, '-inf', now - LONGEST_LIFE - store - remember)
  end
end

local function store_job(job_key, job)
  local due = now + job.delay
  local deadline = due + job.ttl
  local life = math.max(deadline - now + store, job.remember)
  local stream = job.priority * 4 + lane()
  local envelope = '{"created_at":' .. digits(now) .. ',"deadline_at":' .. digits(deadline) .. ',' .. string.sub(job.envelope, 2)
  local entry_id, seq
  local more
  if job.delay == 0 then
    entry_id, seq = add_entry(KEYS[FIRST_STREAM + stream], flow_key, stream, job.id, envelope)
    flow[2 * stream + 1] = seq
    more = {'stream_id', entry_id, 'seq', seq}
  else
    delayed = delayed + 1
    redis.call('ZADD', scheduled_key, due, job.id)
    more = {'envelope', envelope, 'due', due}
  end
  if not job.store then more[5], more[6] = 'store', '0' end
  redis.call('HSET', job_key, 'id', job.id, 'status', 'queued', 'created_at', now, 'deadline_at', deadline,
    'store_ms', ARGV[1], 'keep_until', now + job.remember, 'type', job.kind, 'priority', job.priority_name,
    'metadata', job.metadata, 'queue', ARGV[7], 'owner', ARGV[8], 'request_id', ARGV[9], 'traceparent', ARGV[10],
    'stream', stream, unpack(more))
  redis.call('PEXPIRE', job_key, life)
  redis.call('ZADD', open_key, deadline, job.id)
  keep_lists(life)
  return stream, seq
end

local function line(...)
  return table.concat({...}, ' ')
end

-- What was answered to the first sending, if this is another one because that answer was lost.
local function answered(job_key, job)
  local record = read(job_key, 'created_at', 'stream', 'seq')
  return record.created_at and line('accepted', record.created_at, 0, job.id, record.stream, record.seq or nil)
end

local function refused(verdict, wait, job_key, job)
  return answered(job_key, job) or line(verdict, digits(now), wait, job.id)
end

local function decide(job_key, idem_key, job)
  if job.keyed then
    local seen = redis.call('GET', idem_key)
    local first_id, fingerprint = string.match(seen or '', '^(%S+) (%S+)$')
    if first_id and first_id ~= job.id then
      return line(fingerprint == job.fingerprint and 'replayed' or 'reused', digits(now), 0, first_id)
    end
  end
  local wait = arrival + interval - burst * interval - now
  if wait > 0 then return refused('rate', digits(math.ceil(wait)), job_key, job) end
  if open >= open_cap then return refused('open', 0, job_key, job) end
  if depth >= queue_cap then return refused('full', 0, job_key, job) end
  if redis.call('ZADD', owner_key, 'NX', now, job.id) == 0 then
    local answer = answered(job_key, job)
    if answer then return answer end
  end

  local stream, seq = store_job(job_key, job)
  if job.keyed then redis.call('SET', idem_key, job.id .. ' ' .. job.fingerprint, 'PX', job.remember) end
  arrival, open, depth = arrival + interval, open + 1, depth + 1
  return line('accepted', digits(now), 0, job.id, stream, seq)
end

local lines = {}
for i = 0, (#KEYS - FIRST_JOB + 1) / 2 - 1 do
  local a = ARGS_BEFORE + i * ARGS_EACH
  local job = {
    id = ARGV[a + 1], envelope = ARGV[a + 2], fingerprint = ARGV[a + 3], ttl = tonumber(ARGV[a + 4]),
    delay = tonumber(ARGV[a + 5]), priority = tonumber(ARGV[a + 6]), keyed = ARGV[a + 7] == '1',
    kind = ARGV[a + 8], priority_name = ARGV[a + 9], metadata = ARGV[a + 10], store = ARGV[a + 11] ~= '0',
  }
  -- A record lives as long as its key; a result that is not to be kept must not live longer for it.
  job.remember = job.store and remember or math.min(remember, store)
  lines[i + 3] = decide(KEYS[FIRST_JOB + 2 * i], KEYS[FIRST_JOB + 2 * i + 1], job)
end

if arrival > before then
  if counted then
    redis.call('HSET', flow_key, 'depth', flow[DEPTH] + delayed, 'depth_added', flow[ADDED], 'depth_at', now)
  elseif delayed > 0 then
    redis.call('HINCRBY', flow_key, 'depth', delayed)
  end
  redis.call('SET', rate_key, arrival, 'PX', math.ceil(arrival - now))
end
local remaining = math.max(0, math.floor((burst * interval - (arrival - now)) / interval + 1e-6))
lines[1] = line(remaining, digits(math.ceil(arrival - now)), digits(now))
lines[2] = line_of(flow)
return table.concat(lines, '\n')
