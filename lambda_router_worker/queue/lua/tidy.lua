#!lua flags=allow-oom
-- Forgets consumers that have been silent for long and hold nothing, so that restarts do not pile up names, and throws
-- away dead letters that are too old.
--
-- KEYS  1 dead  2 scheduled  3 retrying  4.. the streams
-- ARGV  1 ms of silence  2 ms that dead letters are kept (0: for ever)
-- Answers the number of consumers forgotten

-- A letter's entry id is when it was written. First, since a queue without groups may have dead letters, too.
local keep = tonumber(ARGV[2])
if keep > 0 then redis.call('XTRIM', KEYS[1], 'MINID', now_ms() - keep) end

-- Routers and workers that do not know this place leave envelopes in it when a job is cancelled or moved. A user who may not
-- ask (HRANDFIELD is new to its list) does without.
for _, id in ipairs(redis.pcall('HRANDFIELD', KEYS[3], 100)) do
  if not redis.call('ZSCORE', KEYS[2], id) then redis.call('HDEL', KEYS[3], id) end
end

local forgotten = 0
for _, stream in ipairs({unpack(KEYS, 4)}) do
  for _, facts in ipairs(redis.call('XINFO', 'CONSUMERS', stream, GROUP)) do
    local consumer = {}
    for i = 1, #facts, 2 do consumer[facts[i]] = facts[i + 1] end
    -- One that holds entries must stay: with it its entries would be forgotten.
    if consumer.pending == 0 and consumer.idle >= tonumber(ARGV[1]) then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer.name)
      forgotten = forgotten + 1
    end
  end
end
return forgotten
