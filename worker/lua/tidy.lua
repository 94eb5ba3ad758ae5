#!lua flags=allow-oom
-- Forgets consumers that have been silent for long and hold nothing, so that restarts do not pile up names.
--
-- KEYS  the streams
-- ARGV  1 ms of silence
-- Answers the number forgotten

local forgotten = 0
for _, stream in ipairs(KEYS) do
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
