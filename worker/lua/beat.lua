#!lua flags=allow-oom
-- Says that a worker is alive, and adds up what all living workers can do at a time.
--
-- KEYS  1 workers  2 flow
-- ARGV  1 consumer  2 concurrency (0: leaving)  3 ms of silence after which a worker counts as dead
-- Answers the number of jobs that all workers together can do at a time

local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', digits(now - tonumber(ARGV[3])))
local slots = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local concurrency, consumer = string.match(member, '^(%d+) (.+)$')
  if consumer == ARGV[1] then redis.call('ZREM', KEYS[1], member) else slots = slots + tonumber(concurrency) end
end
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], digits(now), ARGV[2] .. ' ' .. ARGV[1])
  slots = slots + tonumber(ARGV[2])
end
redis.call('HSET', KEYS[2], 'slots', slots, 'slots_at', digits(now))
return slots
