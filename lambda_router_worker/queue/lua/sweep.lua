#!lua flags=allow-oom
-- Takes over up to ARGV[3] entries that nobody has touched for ARGV[2] ms: their workers died or gave them back.
--
-- KEYS  1-12 streams: four lanes of high, of normal, of low
-- ARGV  1 consumer  2 ms of silence  3 count
-- Answers a list of {stream, entry id, fields}, as claim.lua does

local count = tonumber(ARGV[3])
local taken = {}
for _, stream in ipairs(KEYS) do
  local cursor = '0-0'
  repeat
    if #taken >= count then return taken end
    -- XAUTOCLAIM checks ten times COUNT entries and returns where to continue.
    local reply = redis.call('XAUTOCLAIM', stream, GROUP, ARGV[1], ARGV[2], cursor, 'COUNT', count - #taken)
    cursor = reply[1]
    for _, entry in ipairs(reply[2]) do table.insert(taken, {stream, entry[1], entry[2]}) end
  until cursor == '0-0'
end
return taken
