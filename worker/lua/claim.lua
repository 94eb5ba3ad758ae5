-- Takes up to ARGV[2] new entries for consumer ARGV[1], from the first stream that has any, then the next.
-- One XREADGROUP over all streams would take that many from each.
--
-- KEYS  the streams, in the order wanted
-- ARGV  1 consumer  2 count
-- Answers a list of {stream, entry id, fields}

local claimed = {}
for _, stream in ipairs(KEYS) do
  local wanted = tonumber(ARGV[2]) - #claimed
  if wanted <= 0 then break end
  local reply = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[1], 'COUNT', wanted, 'STREAMS', stream, '>')
  if reply then
    for _, entry in ipairs(reply[1][2]) do table.insert(claimed, {stream, entry[1], entry[2]}) end
  end
end
return claimed
