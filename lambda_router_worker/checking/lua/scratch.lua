#!lua flags=allow-oom
-- Makes the keys of a rehearsal, a queue apart from the real one. Each key ends by itself from the first moment. Each
-- hash and sorted set has a member that no script removes: a key that is made again would not end.
--
-- KEYS  1 flow  2 retrying  3 bytes  4 scheduled  5 workers  6 owner  7 open  8 dead  9-20 streams
-- ARGV  1 ms until they end  2 id of a job for which there is a dead letter  3 its envelope
-- Answers the id of the dead letter's entry

local ms, now = tonumber(ARGV[1]), now_ms()

-- A user who may not call PEXPIRE gets the error here, before there are keys.
local function ends(key)
  redis.call('PEXPIRE', key, ms)
end
ends(KEYS[1])
for i = 1, 3 do
  redis.call('HSET', KEYS[i], 'check', 1)
  ends(KEYS[i])
end
for i = 4, 7 do
  redis.call('ZADD', KEYS[i], i == 5 and now or now + ms, 'check')
  ends(KEYS[i])
end
local letter = redis.call('XADD', KEYS[8], '*', 'id', ARGV[2], 'job', ARGV[3], 'code', 'check', 'message', 'check',
  'attempts', 0, 'token', 0, 'at', now)
ends(KEYS[8])
for i = 9, 8 + STREAMS do
  redis.call('XGROUP', 'CREATE', KEYS[i], GROUP, '0', 'MKSTREAM')
  ends(KEYS[i])
end
return letter
