#!lua flags=no-writes
-- Reports the server's policy for a full memory. Every policy but noeviction deletes keys, jobs included.
--
-- KEYS  1 any key of the queue; in a cluster, it selects the node that runs this script
-- ARGV  none
-- Answers maxmemory_policy as `INFO memory` reports it; an empty line if the server does not report it

return string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)') or ''
