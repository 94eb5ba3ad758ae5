-- Writes the final state of a running job, once, if the worker still holds it. Safe to send twice.
--
-- KEYS  1 job  2 its stream  3 open
-- ARGV  1 id  2 token  3 completed or failed  4 field: result or error  5 its JSON
-- Answers 'done', 'lost', 'gone', or the final status that the job has meanwhile

local job_key, stream_key, open_key = KEYS[1], KEYS[2], KEYS[3]
local record = read(job_key, 'status', 'lease_token', 'stream_id', 'store_ms', 'keep_until')
if not record.status then return 'gone' end
if record.lease_token ~= ARGV[2] then return 'lost' end
if record.status == ARGV[3] then return 'done' end -- the reply to the first sending was lost
if record.status ~= 'in_progress' then return record.status end

close(job_key, open_key, stream_key, record, ARGV[1], ARGV[3], now_ms(), ARGV[4], ARGV[5])
return 'done'
