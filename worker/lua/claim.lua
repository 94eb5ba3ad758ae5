#!lua flags=allow-oom
-- Takes up to ARGV[2] entries for consumer ARGV[1]: first what was given back, which has had its turn, then new ones,
-- fairly: each pick goes to a priority by turns (of ten, six to high, three to normal, one to low) and within it to the
-- next lane by turns; what is empty passes its turn on.
--
-- KEYS  1-12 streams: four lanes of high, of normal, of low  13 flow
-- ARGV  1 consumer  2 count
-- Answers a list of {stream, entry id, fields}

local WHEEL = {1, 2, 1, 1, 2, 1, 3, 1, 2, 1}
local LANES = 4
local flow_key, wanted = KEYS[13], tonumber(ARGV[2])
local claimed = {}

-- Whether the stream may have more of them.
local function take_given_back(stream)
  local room = wanted - #claimed
  local ids = {}
  for i, entry in ipairs(redis.call('XPENDING', stream, GROUP, '-', '+', room, RELEASED)) do ids[i] = entry[1] end
  if #ids == 0 then return false end
  for _, entry in ipairs(redis.call('XCLAIM', stream, GROUP, ARGV[1], 0, unpack(ids))) do
    table.insert(claimed, {stream, entry[1], entry[2]})
  end
  return #ids == room
end

if wanted > 0 and redis.call('HGET', flow_key, 'released') then
  for i = 1, STREAMS do
    while take_given_back(KEYS[i]) do
      if #claimed == wanted then return claimed end
    end
  end
  redis.call('HDEL', flow_key, 'released')
end

local function take_from(priority)
  local turn = math.floor(number(redis.call('HGET', flow_key, 'turn:' .. priority), 0))
  for i = 0, LANES - 1 do
    local stream = KEYS[(priority - 1) * LANES + (turn + i) % LANES + 1]
    local reply = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[1], 'COUNT', 1, 'STREAMS', stream, '>')
    if reply then
      redis.call('HSET', flow_key, 'turn:' .. priority, (turn + i + 1) % LANES)
      return {stream, reply[1][2][1][1], reply[1][2][1][2]}
    end
  end
end

local function pick()
  local favourite = WHEEL[count(flow_key, 'turn', 1) % #WHEEL + 1]
  local taken = take_from(favourite)
  for priority = 1, 3 do
    if taken then return taken end
    if priority ~= favourite then taken = take_from(priority) end
  end
  return taken
end

while #claimed < wanted do
  local taken = pick()
  if not taken then break end
  table.insert(claimed, taken)
end
return claimed
