#!lua
-- Sends a dead letter round again, as a new beginning: attempts and deaths at zero, its time to wait anew.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying
-- ARGV  1 id  2 dead letter's entry id  3 envelope with its new times  4 created ms  5 deadline ms  6 store ms
--       7 stream  8.. record fields and values
-- Answers 'queued', or 'open' when the job is already waiting or at work

local status = redis.call('HGET', keys.job, 'status')
if status == 'queued' or status == 'in_progress' then return 'open' end

local id, deadline, store = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('DEL', keys.job)
redis.call('HSET', keys.job, 'id', id, 'status', 'queued', 'created_at', ARGV[4], 'deadline_at', ARGV[5], 'store_ms', ARGV[6],
  'keep_until', ARGV[5], unpack(ARGV, 8))
enqueue(keys.job, keys.stream, keys.flow, ARGV[7], id, ARGV[3])
redis.call('PEXPIREAT', keys.job, digits(deadline + store))
for key, score in pairs({[keys.open] = ARGV[5], [keys.owner] = ARGV[4]}) do
  redis.call('ZADD', key, score, id)
  live_at_least(key, deadline + store - now_ms())
end
redis.call('XDEL', keys.dead, ARGV[2])
return 'queued'
