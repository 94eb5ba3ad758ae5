#!lua flags=allow-oom
-- Forgets consumers that have been silent for long and hold nothing, so that restarts do not pile up names, and throws
-- away dead letters that are too old.
--
-- KEYS  1 dead  2.. the streams
-- ARGV  1 ms of silence  2 ms that dead letters are kept (0: for ever)
-- Answers the number of consumers forgotten

-- A letter's entry id is when it was written. First, since a queue without groups may have dead letters, too.
local keep = tonumber(ARGV[2])
if keep > 0 then redis.call('XTRIM', KEYS[1], 'MINID', digits(now_ms() - keep)) end

local forgotten = 0
for _, stream in ipairs({unpack(KEYS, 2)}) do
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
