#!lua flags=allow-oom
-- One pass of an idle worker in one call. It reports that the worker is alive, claims jobs as claim.lua does and, if
-- none waits, as sweep.lua does. It also returns when to look again.
--
-- KEYS  1-12 streams: four lanes of high, of normal, of low  13 flow  14 workers  15 scheduled
-- ARGV  1 consumer  2 count  3 lease ms  4 ms until the worker's next call
--       5 concurrency  6 ms of silence  7 the reason that it claims nothing: as in beat.lua (or none: no report)
-- Answers {entries as claim.lua lists them, ms until a lease may end (at most ARGV[4]),
--   ms until each of the soonest delayed jobs is due: a list of up to ten}

local LOOKED_AT = 10
local MOST_MS = 24 * 3600 * 1000
local flow_key, workers_key, scheduled_key = KEYS[13], KEYS[14], KEYS[15]
local lease_ms, wait_ms = tonumber(ARGV[3]), tonumber(ARGV[4])

if ARGV[5] then beat({workers_key, flow_key}, {ARGV[1], ARGV[5], ARGV[6], ARGV[7]}) end

local claimed = claim(KEYS, ARGV)
if #claimed == 0 then
  -- Workers renew their entries long before a lease ends, so nearly always nobody has such an entry.
  local nearly = math.max(0, lease_ms - wait_ms)
  local is_left = false
  for i = 1, STREAMS do
    for _, entry in ipairs(redis.call('XPENDING', KEYS[i], GROUP, 'IDLE', nearly, '-', '+', LOOKED_AT)) do
      is_left = true
      wait_ms = math.min(wait_ms, math.max(0, lease_ms - entry[3]))
    end
  end
  if is_left then claimed = sweep({unpack(KEYS, 1, STREAMS)}, {ARGV[1], lease_ms, ARGV[2]}) end
end

local now = now_ms()
local due = {}
local soonest = redis.call('ZRANGE', scheduled_key, 0, LOOKED_AT - 1, 'WITHSCORES')
for i = 2, #soonest, 2 do
  table.insert(due, math.min(MOST_MS, math.max(0, soonest[i] - now)))
end
return {claimed, wait_ms, due}
