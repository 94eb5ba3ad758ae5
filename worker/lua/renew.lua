-- Renews the lease of a running job and tells the worker whether to go on.
--
-- KEYS  1 job  2 its stream  3 open
-- ARGV  1 id  2 entry id  3 consumer  4 lease ms  5 token
-- Answers 'run', 'lost' (another attempt has started), 'gone', or the final status that the job has meanwhile

local job_key, stream_key, open_key = KEYS[1], KEYS[2], KEYS[3]
local record = read(job_key, 'status', 'lease_token', 'store_ms', 'keep_until')
if record.status ~= 'in_progress' then return record.status or 'gone' end
if record.lease_token ~= ARGV[5] then return 'lost' end

hold_lease(job_key, open_key, record, ARGV[1], now_ms() + tonumber(ARGV[4]))
-- JUSTID: the entry's idle time starts anew, its delivery count stays.
redis.call('XCLAIM', stream_key, GROUP, ARGV[3], 0, ARGV[2], 'JUSTID')
return 'run'
