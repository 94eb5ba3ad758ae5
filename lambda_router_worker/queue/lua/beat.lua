#!lua flags=allow-oom
-- Records that a worker is alive, and adds up how many jobs all living workers can process at a time. A worker that
-- leaves may name the streams. Its consumer name is then removed from each group in which it holds no entry.
--
-- KEYS  1 workers  2 flow  3.. the streams (only when leaving, and optional even then)
-- ARGV  1 consumer  2 concurrency (0: leaving)  3 ms of silence after which a worker counts as dead
--       4 the reason that it claims nothing for now, on one line; empty or absent if it claims
-- Answers the number of jobs that all workers together can process at a time

local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
-- Also removes reports from before the server's clock stepped back. A living worker reports again within 2 s.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[3], '+inf')
local slots = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local concurrency, consumer, reason = string.match(member, '^(%d+) ([^\t]+)\t?(.*)$')
  if consumer == ARGV[1] then
    redis.call('ZREM', KEYS[1], member)
  elseif reason == '' then
    slots = slots + number(concurrency, 0)
  end
end
if tonumber(ARGV[2]) > 0 then
  local reason = ARGV[4] or ''
  local member = ARGV[2] .. ' ' .. ARGV[1] .. (reason ~= '' and '\t' .. reason or '')
  redis.call('ZADD', KEYS[1], now, member)
  if reason == '' then slots = slots + tonumber(ARGV[2]) end
end
redis.call('HSET', KEYS[2], 'slots', slots, 'slots_at', now)

for i = 3, #KEYS do
  -- Deleting the name would lose the entries that it holds. If the group is missing, somebody emptied Redis.
  local held = redis.pcall('XPENDING', KEYS[i], GROUP, '-', '+', 1, ARGV[1])
  if not held.err and #held == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[i], GROUP, ARGV[1]) end
end
return slots
