#!lua flags=no-writes
-- Says what the server does when its memory is full: with any policy but noeviction it throws keys away, jobs included.
--
-- KEYS  1 any key of the queue, for a cluster to ask the node that has it
-- ARGV  none
-- Answers maxmemory_policy as `INFO memory` has it; an empty line where the server does not tell

return string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)') or ''
