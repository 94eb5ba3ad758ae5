#!lua flags=allow-oom
-- Claims up to ARGV[2] entries for consumer ARGV[1]. Entries that were given back come first, because they have had
-- their turn. Then come new ones, fairly: priorities take turns (of ten, high has six, normal three, low one), and so
-- do the lanes within a priority. An empty stream passes its turn on.
--
-- KEYS  1-12 streams: four lanes of high, of normal, of low  13 flow
-- ARGV  1 consumer  2 count
-- Answers a list of {stream, entry id, fields}

local WHEEL = {1, 2, 1, 1, 2, 1, 3, 1, 2, 1}
local flow_key, wanted = KEYS[STREAMS + 1], tonumber(ARGV[2])
local claimed = {}

-- Claims such entries. Returns whether the stream may have more of them.
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

-- The current turns: of the wheel, then of the lanes of each priority. No entry is added while a script runs, so an
-- empty stream is read only once.
local turns = redis.call('HMGET', flow_key, 'turn', 'turn:1', 'turn:2', 'turn:3')
for i, turn in ipairs(turns) do turns[i] = math.floor(number(turn, 0)) end
local is_empty = {}

local function take_from(priority)
  for i = 0, LANES - 1 do
    local lane = (turns[priority + 1] + i) % LANES
    local stream = KEYS[(priority - 1) * LANES + lane + 1]
    local reply = not is_empty[stream] and redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[1], 'COUNT', 1, 'STREAMS', stream, '>')
    if reply then
      turns[priority + 1] = (lane + 1) % LANES
      return {stream, reply[1][2][1][1], reply[1][2][1][2]}
    end
    is_empty[stream] = true
  end
end

local function pick()
  turns[1] = turns[1] + 1
  local favourite = WHEEL[turns[1] % #WHEEL + 1]
  local taken = take_from(favourite)
  for priority = 1, PRIORITIES do
    if taken then return taken end
    if priority ~= favourite then taken = take_from(priority) end
  end
  return taken
end

local had = #claimed
while #claimed < wanted do
  local taken = pick()
  if not taken then break end
  table.insert(claimed, taken)
end
if #claimed > had then
  redis.call('HSET', flow_key, 'turn', turns[1], 'turn:1', turns[2], 'turn:2', turns[3], 'turn:3', turns[4])
end
return claimed
