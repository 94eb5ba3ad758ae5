#!lua flags=no-writes
-- Reads the figures of a queue at one moment. The time that this takes does not grow with the number of jobs.
--
-- KEYS  1-12 streams  13 flow  14 workers  15 scheduled  16 dead
-- ARGV  1 ms of silence after which a worker counts as dead  2 maximum number of workers to list
-- Answers {now ms, figures as in admit.lua, {completed, failed, gap_ms and finished_at, each empty if missing},
--   {code, failed jobs with it, ...}, number of living workers, {a worker's report, its time in ms, ...},
--   scheduled jobs, dead letters, {stream's waiting jobs, its running ones, ms of its oldest waiting one or 0, ...},
--   {consumer, entries that it holds, ...}}

local flow_key, workers_key = KEYS[13], KEYS[14]
local now = now_ms()
local per_stream, held_by = {}, {}

-- An entry's id begins with the time at which it was added.
local function time_of(entries)
  return entries[1] and tonumber(string.match(entries[1][1], '^%d+')) or 0
end

local function sooner(one, other)
  if one == 0 or other == 0 then return one + other end
  return math.min(one, other)
end

local function group_of(stream_key)
  for _, facts in ipairs(redis.call('XINFO', 'GROUPS', stream_key)) do
    local group = {}
    for i = 1, #facts, 2 do group[facts[i]] = facts[i + 1] end
    if group.name == GROUP then return group end
  end
end

-- Adds up what each consumer holds, and returns how many entries wait because they were given back.
local function released_of(stream_key)
  local released = 0
  for _, holder in ipairs(redis.call('XPENDING', stream_key, GROUP)[4] or {}) do
    local entries = number(holder[2], 0)
    if holder[1] == RELEASED then released = entries else held_by[holder[1]] = (held_by[holder[1]] or 0) + entries end
  end
  return released
end

for i = 1, STREAMS do
  local length = redis.call('XLEN', KEYS[i])
  local running, released, oldest = 0, 0, 0
  if length > 0 then
    local group = group_of(KEYS[i])
    oldest = time_of(redis.call('XRANGE', KEYS[i], group and '(' .. group['last-delivered-id'] or '-', '+', 'COUNT', 1))
    if group and group.pending > 0 then
      released = released_of(KEYS[i])
      running = group.pending - released
    end
    if released > 0 then
      oldest = sooner(oldest, time_of(redis.call('XPENDING', KEYS[i], GROUP, '-', '+', 1, RELEASED)))
    end
  end
  for _, value in ipairs({math.max(0, length - running), running, oldest}) do table.insert(per_stream, value) end
end

local counts = redis.call('HMGET', flow_key, 'completed', 'failed', 'gap_ms', 'finished_at')
for i = 1, #counts do counts[i] = counts[i] or '' end
local by_code, holders = {}, {}
local fields = redis.call('HGETALL', flow_key)
for i = 1, #fields, 2 do
  local code = string.match(fields[i], '^failed:(.*)$')
  if code then
    table.insert(by_code, code)
    table.insert(by_code, fields[i + 1])
  end
end
for consumer, entries in pairs(held_by) do
  table.insert(holders, consumer)
  table.insert(holders, entries)
end

local reports = redis.call('ZRANGE', workers_key, now - ARGV[1], now + ARGV[1], 'BYSCORE', 'WITHSCORES')
return {now, line_of(figures(flow_key)), counts, by_code, #reports / 2, {unpack(reports, 1, math.min(#reports, 2 * ARGV[2]))},
  redis.call('ZCARD', KEYS[15]), redis.call('XLEN', KEYS[16]), per_stream, holders}
