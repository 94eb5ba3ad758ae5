#!lua flags=no-writes
-- Counts the newest dead letters by code. A letter may be as large as a job's body, and can only be read whole. So it
-- ends early rather than keep the server busy.
--
-- KEYS  1 dead
-- ARGV  1 maximum number of letters  2 maximum bytes of letters, which the last few may exceed
-- Answers {letters counted, {code, letters with it, ...}}

local most, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local MOST_AT_ONCE = 16
local counted, largest, last = 0, room, '+'
local by_code, reply = {}, {}

local function count_letter(fields)
  local bytes, code = 0, ''
  for i = 1, #fields, 2 do
    bytes = bytes + #fields[i] + #fields[i + 1]
    if fields[i] == 'code' then code = short_code(fields[i + 1]) end
  end
  by_code[code] = (by_code[code] or 0) + 1
  counted = counted + 1
  return bytes
end

while counted < most and room > 0 do
  local at_once = math.max(1, math.min(MOST_AT_ONCE, most - counted, math.floor(room / largest)))
  local letters = redis.call('XREVRANGE', KEYS[1], last, '-', 'COUNT', at_once)
  if #letters == 0 then break end
  largest = 1
  for _, letter in ipairs(letters) do
    local bytes = count_letter(letter[2])
    room, largest = room - bytes, math.max(largest, bytes)
  end
  last = '(' .. letters[#letters][1]
end

for code, letters in pairs(by_code) do
  table.insert(reply, code)
  table.insert(reply, letters)
end
return {counted, reply}
