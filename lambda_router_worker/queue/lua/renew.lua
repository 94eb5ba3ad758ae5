#!lua flags=allow-oom
-- Renews the lease of a running job, and tells the worker whether to continue.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- ARGV  1 id  2 token  3 entry id  4 consumer  5 lease ms
-- Answers 'run', 'lost' (the job was started again or requeued), 'gone', or the current status of the job

local record = read_leased()
local stop = fenced_out(record, ARGV[2])
if stop then return stop end
if record.status ~= 'in_progress' then return record.status end

local now = now_ms()
hold_lease(record, ARGV[1], now, tonumber(ARGV[5]))
if keys.events and record.output_bytes then keep_output(keys.job, keys.events, record, now) end
-- JUSTID: this resets the entry's idle time and leaves its delivery count.
redis.call('XCLAIM', keys.stream, GROUP, ARGV[4], 0, ARGV[3], 'JUSTID')
return 'run'
