#!lua flags=allow-oom
-- Writes the final state of a running job once, if the worker still holds it. Safe to send twice.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- ARGV  1 id  2 token  3 completed or failed  4 field: result or error  5 its JSON; an error's message is cut to
--       4 KiB, its code to 64 bytes
-- Answers 'done', 'lost', 'gone', or the current status of the job

local record = read_leased()
local stop = fenced_out(record, ARGV[2])
if stop then return stop end
if record.status == ARGV[3] and record.retried_token == ARGV[2] then return 'done' end -- the first reply was lost
if record.status ~= 'in_progress' then return record.status end

local now = now_ms()
local outcome = ARGV[4] == 'error' and short_error(ARGV[5]) or ARGV[5]
close(keys, record, ARGV[1], ARGV[3], now, true, ARGV[4], outcome, 'retried_token', ARGV[2])
if ARGV[3] == 'failed' then
  local is_json, found = pcall(cjson.decode, outcome)
  if is_json and type(found) == 'table' and type(found.code) == 'string' then count_failure(keys.flow, found.code) end
end
end_output(record, now)
return 'done'
