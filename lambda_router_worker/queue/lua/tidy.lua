#!lua flags=allow-oom
-- Forgets consumers that hold nothing and have been silent for long, so that restarts do not pile up names. Also
-- discards dead letters that are too old.
--
-- KEYS  1 dead  2 scheduled  3 retrying  4.. the streams
-- ARGV  1 ms of silence  2 ms that dead letters are kept (0: for ever)
-- Answers the number of consumers forgotten

-- A letter's entry id is the time of its writing. This comes first, because even a queue without groups may have dead
-- letters.
local keep = tonumber(ARGV[2])
if keep > 0 then redis.call('XTRIM', KEYS[1], 'MINID', now_ms() - keep) end

-- Routers and workers that do not know this key leave envelopes in it when a job is cancelled or moved. This is skipped
-- for a user without the permission for HRANDFIELD, which is a recent addition.
for _, id in ipairs(redis.pcall('HRANDFIELD', KEYS[3], 100)) do
  if not redis.call('ZSCORE', KEYS[2], id) then redis.call('HDEL', KEYS[3], id) end
end

local forgotten = 0
for _, stream in ipairs({unpack(KEYS, 4)}) do
  for _, facts in ipairs(redis.call('XINFO', 'CONSUMERS', stream, GROUP)) do
    local consumer = {}
    for i = 1, #facts, 2 do consumer[facts[i]] = facts[i + 1] end
    -- A consumer that holds entries must stay: deleting it would lose its entries.
    if consumer.pending == 0 and consumer.idle >= tonumber(ARGV[1]) then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer.name)
      forgotten = forgotten + 1
    end
  end
end
return forgotten
