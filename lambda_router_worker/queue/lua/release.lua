#!lua flags=allow-oom
-- Gives back an entry that was claimed and not started. The next claim by any worker takes it before new ones. Changes
-- nothing if another worker holds the entry by now. Safe to send twice.
--
-- KEYS  1 its stream  2 flow
-- ARGV  1 consumer  2 entry id
-- Answers 1, or 0 if this consumer does not hold the entry

local entry = redis.call('XPENDING', KEYS[1], GROUP, ARGV[2], ARGV[2], 1)[1]
if not entry or entry[2] ~= ARGV[1] then return 0 end
redis.call('XCLAIM', KEYS[1], GROUP, RELEASED, 0, ARGV[2], 'IDLE', RELEASED_IDLE_MS, 'JUSTID')
redis.call('HSET', KEYS[2], 'released', 1)
return 1
