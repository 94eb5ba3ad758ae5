#!lua flags=allow-oom
-- Removes ids from a caller's list if their records are gone. An id whose record exists stays, even if the worker found
-- no record before: admit.lua writes record and id in one step, and this script checks and removes in one step.
--
-- KEYS  1 owner  2.. the records of the ids to check
-- ARGV  their ids, in the same order
-- Answers the number of ids removed

local removed = 0
for i, id in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[1 + i]) == 0 then removed = removed + redis.call('ZREM', KEYS[1], id) end
end
return removed
