#!lua flags=allow-oom
-- Takes one of the few places for requests that the function holds, or frees it. A place that nobody frees expires when
-- its time is up. Taking a place again with the same id takes no second one.
--
-- KEYS  1 waits, or streams  2 the same of the caller
-- ARGV  1 the wait's id  2 'take' or 'free'  3 ms until the place expires  4 the most ms that any place may last
--       5 places of one caller  6 places of all callers together
-- Answers 'taken', 'freed' or, if no place is free, whose places are all taken: 'caller' or 'all'

local id = ARGV[1]
redis.call('ZREM', KEYS[1], id)
redis.call('ZREM', KEYS[2], id)
if ARGV[2] == 'free' then return 'freed' end

local now = now_ms()
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  -- A place that ends later than any can was taken before the clock stepped back.
  redis.call('ZREMRANGEBYSCORE', key, '(' .. digits(now + ARGV[4]), '+inf')
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then return 'caller' end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[6]) then return 'all' end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ARGV[3], id)
  redis.call('PEXPIRE', key, ARGV[4])
end
return 'taken'
