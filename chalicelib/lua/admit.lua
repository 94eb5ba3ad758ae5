-- Decides everything about one new job, or changes nothing:
-- idempotency -> rate -> open-jobs cap -> queue cap -> record -> stream. Safe to send twice.
--
-- KEYS  1 job  2 its stream  3 owner  4 open  5 rate  6-8 all streams  [9 idempotency]
-- ARGV  1 id  2 envelope without its times  3 fingerprint  4 ttl ms  5 store ms  6 idempotency ms
--       7 rate interval ms  8 rate burst  9 open-jobs cap  10 queue cap  11.. record fields and values
-- Answers {verdict, created ms, jobs that may be sent now, ms until the burst is whole, ms to wait, first job's id}
--   verdict: accepted | replayed | reused | rate | open | full

local job_key, stream_key, owner_key, open_key, rate_key, idem_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[9]
local id, envelope, fingerprint = ARGV[1], ARGV[2], ARGV[3]
local ttl, store, remember = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local interval, burst = tonumber(ARGV[7]), tonumber(ARGV[8])
local open_cap, queue_cap = tonumber(ARGV[9]), tonumber(ARGV[10])
local now = now_ms()

-- GCRA: the time at which the caller will have used up what it sent so far.
local arrival = math.max(tonumber(redis.call('GET', rate_key) or now), now)

local function answer(verdict, wait, first_id, created)
  local remaining = math.floor((burst * interval - (arrival - now)) / interval + 1e-6)
  return {verdict, created or digits(now), math.max(0, remaining), digits(math.ceil(arrival - now)), digits(math.ceil(wait or 0)), first_id or id}
end

if redis.call('EXISTS', job_key) == 1 then
  return answer('accepted', 0, id, redis.call('HGET', job_key, 'created_at')) -- the first sending's reply was lost
end

if idem_key then
  local seen = redis.call('GET', idem_key)
  if seen then
    local first_id, first_fingerprint = string.match(seen, '^(%S+) (%S+)$')
    return answer(first_fingerprint == fingerprint and 'replayed' or 'reused', 0, first_id)
  end
end

local wait = arrival + interval - burst * interval - now
if wait > 0 then return answer('rate', wait) end

redis.call('ZREMRANGEBYSCORE', open_key, '-inf', digits(now))
if redis.call('ZCARD', open_key) >= open_cap then
  local soonest = redis.call('ZRANGE', open_key, 0, 0, 'WITHSCORES')
  return answer('open', tonumber(soonest[2]) - now)
end

local depth = 0
for i = 6, 8 do depth = depth + redis.call('XLEN', KEYS[i]) end
if depth >= queue_cap then return answer('full') end

local deadline = now + ttl
local keep_until = now + remember
local life = math.max(ttl + store, remember)
arrival = arrival + interval
redis.call('SET', rate_key, string.format('%.3f', arrival), 'PX', digits(math.ceil(arrival - now)))
if idem_key then redis.call('SET', idem_key, id .. ' ' .. fingerprint, 'PX', digits(remember)) end
local entry = '{"created_at":' .. digits(now) .. ',"deadline_at":' .. digits(deadline) .. ',' .. string.sub(envelope, 2)
local stream_id = redis.call('XADD', stream_key, '*', 'id', id, 'job', entry)
redis.call('HSET', job_key, 'id', id, 'status', 'queued', 'created_at', digits(now), 'deadline_at', digits(deadline),
  'stream_id', stream_id, 'store_ms', digits(store), 'keep_until', digits(keep_until), unpack(ARGV, 11))
redis.call('PEXPIRE', job_key, digits(life))
redis.call('ZADD', open_key, digits(deadline), id)
redis.call('ZADD', owner_key, digits(now), id)
-- The sets outlive every record that they name, and no longer.
for _, key in ipairs({open_key, owner_key}) do
  if redis.call('PTTL', key) < life then redis.call('PEXPIRE', key, digits(life)) end
end
return answer('accepted')
