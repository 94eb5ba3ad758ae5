#!lua
-- Requeues a dead letter as a new job: its attempts and expired leases are reset, and its time to wait starts again.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- ARGV  1 id  2 dead letter's entry id  3 envelope with its new times  4 created ms  5 deadline ms
--       6 store ms, unless the record has more  7 stream  8.. fields of the record and their values
-- Answers 'queued', 'gone' if the letter no longer exists (another operator was faster), or 'open' if the job is
-- already waiting or running; after 'gone' and 'open' nothing has changed

local letter = entry_fields(keys.dead, ARGV[2])
if not letter then return 'gone' end
local before = read(keys.job, 'status', 'lease_token', 'keep_until', 'store_ms', 'counted', 'openai', 'output_bytes')
if before.status == 'queued' or before.status == 'in_progress' then return 'open' end

-- The token of the last start, from the letter if the record is gone. Anybody may write a letter, with any content.
local function last_token()
  return number(before.lease_token or letter.token, 0)
end
-- A new token at once: a worker that slept through all this has lost the job, even before another one starts it.
local token = next_token(last_token(), now_us())

-- The promises to the caller still hold: how long the job is kept, and that it outlives its Idempotency-Key.
local id, deadline = ARGV[1], tonumber(ARGV[5])
local store = math.max(tonumber(ARGV[6]), number(before.store_ms, 0))
local keep_until = math.max(deadline, number(before.keep_until, 0))
local gone_at = math.floor(math.max(deadline + store, keep_until))
local kept = JOB_BYTES
for i = 8, #ARGV do kept = kept + #ARGV[i] end
if before.openai then kept = kept + #before.openai end
redis.call('DEL', keys.job)
redis.call('HSET', keys.job, 'id', id, 'status', 'queued', 'created_at', ARGV[4], 'deadline_at', ARGV[5],
  'store_ms', store, 'keep_until', keep_until, 'lease_token', token, unpack(ARGV, 8))
if before.openai then redis.call('HSET', keys.job, 'openai', before.openai) end
-- The live output goes as well. Its readers are told to start over once the job is started.
if before.output_bytes then redis.call('HSET', keys.job, 'output_bytes', 0) end
if keys.events then redis.call('DEL', keys.events) end
enqueue(keys.job, keys.stream, keys.flow, ARGV[7], id, ARGV[3])
redis.call('PEXPIREAT', keys.job, gone_at)
redis.call('ZADD', keys.open, deadline, id)
local now = now_ms()
live_at_least(keys.open, gone_at - now)
redis.call('ZADD', keys.owner, ARGV[4], id)
list_until(keys, tonumber(ARGV[4]), gone_at, now)
recount(keys, before, kept + #ARGV[3], kept, bucket_of(gone_at))
redis.call('XDEL', keys.dead, ARGV[2])
return 'queued'
