#!lua flags=allow-oom
-- Writes the final state of a running job, once, if the worker still holds it. Safe to send twice.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes
-- ARGV  1 id  2 token  3 completed or failed  4 field: result or error  5 its JSON; an error's message has 4 KiB at
--       most, its code 64 bytes, and more is cut off
-- Answers 'done', 'lost', 'gone', or the status that the job has meanwhile

local record = read_leased()
local stop = fenced_out(record, ARGV[2])
if stop then return stop end
if record.status == ARGV[3] and record.retried_token == ARGV[2] then return 'done' end -- the reply to the first sending was lost
if record.status ~= 'in_progress' then return record.status end

local now = now_ms()
local outcome = ARGV[4] == 'error' and short_error(ARGV[5]) or ARGV[5]
close(keys, record, ARGV[1], ARGV[3], now, ARGV[4], outcome, 'retried_token', ARGV[2])

-- Moving averages: how long a job takes, and how far apart jobs finish. Never below 0, though the server's clock may have
-- stepped back in between.
local flow = read(keys.flow, 'service_ms', 'gap_ms', 'finished_at')
local function average(field, milliseconds)
  local value = math.max(0, milliseconds)
  local old = number(flow[field], value)
  return string.format('%.3f', old + (value - old) * 0.1)
end
local gap_ms = math.min(now - number(flow.finished_at, now), 600000)
local fields = {'finished_at', digits(now), 'gap_ms', average('gap_ms', gap_ms)}
if ARGV[3] == 'completed' then
  fields[5], fields[6] = 'service_ms', average('service_ms', now - number(record.attempt_at, now))
end
redis.call('HSET', keys.flow, unpack(fields))
return 'done'
