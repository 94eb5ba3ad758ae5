#!lua
-- Adds to the live output of running jobs, of as many as a worker has output for. Safe to send twice: a piece that is
-- there is not added again. Memory that is full refuses it; the pieces can be sent later.
--
-- KEYS  two for each job: job, events
-- ARGV  for each job: token, number of the first piece (the attempt's first has 1), count of pieces, the pieces
-- Answers a word for each job: 'stored'; 'behind N' (Redis lost what came before; send again from piece N); 'full' (the
--   output has grown too large, nothing was added); 'spoiled' (somebody else wrote to the key); 'lost', 'gone', or the
--   current status of the job

-- The most bytes of a job's output. The largest result has 4 MiB; small pieces have several times the bytes of their
-- text, encrypted ones more.
local MOST_OUTPUT_BYTES = 16 * 1024 * 1024

-- The number of the attempt's last piece that is there: 0 if there is none, nil if the key is no stream.
local function last_number(events_key, token)
  local found = redis.pcall('XREVRANGE', events_key, '+', '-', 'COUNT', 1)
  if found.err then return nil end
  local owner, piece = string.match(found[1] and found[1][1] or '', '^(%d+)%-(%d+)$')
  return owner == token and tonumber(piece) or 0
end

-- `at` is the place in ARGV of the first of `pieces` pieces.
local function emit(job_key, events_key, token, first, at, pieces)
  local record = read(job_key, 'status', 'lease_token', 'output_bytes', 'events_ms', 'store_ms', 'keep_until')
  if not record.status then return 'gone' end
  if record.lease_token ~= token then return 'lost' end
  if record.status ~= 'in_progress' then return record.status end
  local last = last_number(events_key, token)
  if not last then return 'spoiled' end
  if first > last + 1 then return 'behind ' .. digits(last + 1) end
  if first + pieces - 1 <= last then return 'stored' end
  local bytes = last == 0 and 0 or number(record.output_bytes, 0)
  for piece = last + 1, first + pieces - 1 do bytes = bytes + #ARGV[at + piece - first] end
  if bytes > MOST_OUTPUT_BYTES then return 'full' end
  for piece = last + 1, first + pieces - 1 do
    local added = redis.pcall('XADD', events_key, token .. '-' .. digits(piece), 'delta', ARGV[at + piece - first])
    if type(added) == 'table' then return 'spoiled' end
  end
  redis.call('HSET', job_key, 'output_bytes', bytes)
  keep_output(job_key, events_key, record, now_ms())
  return 'stored'
end

local words, at = {}, 1
for i = 1, #KEYS, 2 do
  local pieces = tonumber(ARGV[at + 2])
  words[#words + 1] = emit(KEYS[i], KEYS[i + 1], ARGV[at], tonumber(ARGV[at + 1]), at + 3, pieces)
  at = at + 3 + pieces
end
return words
