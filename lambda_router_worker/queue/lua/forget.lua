#!lua flags=allow-oom
-- Takes those ids out of a caller's list whose records are gone. An id whose record is there stays, whatever was seen
-- before: a record and its id are written in one step, and looked at and removed in one.
--
-- KEYS  1 owner  2.. the records of the ids to look at
-- ARGV  their ids, in the same order
-- Answers the number removed

local removed = 0
for i, id in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[1 + i]) == 0 then removed = removed + redis.call('ZREM', KEYS[1], id) end
end
return removed
