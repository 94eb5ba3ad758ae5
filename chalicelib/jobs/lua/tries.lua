-- Shared by scripts that admit jobs: the tries of one request.
-- Clients such as OpenAI's repeat a request by themselves, without an Idempotency-Key. Each line of the text names a
-- job, when it was stored, the last of the tries that got this job, and the id that this try had for a job of its own.

local TRIES_MS, MOST_TRIES = 120000, 16

-- The job that an earlier try of the same request stored; nil if there is none. Of several, it is the one that most of
-- the tries before got, then the newest: identical requests in parallel keep a job each.
local function earlier_try(tries, try, own_id, at_ms)
  local best, best_last, best_at
  for id, at, last, by in string.gmatch(tries, '(%S+) (%d+) (%d+) (%S+)') do
    at, last = number(at, 0), number(last, 0)
    if by == own_id then return id end -- the reply was lost
    local is_better = not best or last > best_last or (last == best_last and at >= best_at)
    if last < try and at_ms - at < TRIES_MS and is_better then best, best_last, best_at = id, last, at end
  end
  return best
end

-- The tries with that job's line replaced, or put in front.
local function with_try(tries, id, try, own_id, at_ms)
  local others, stored_at = {}, at_ms
  for other, at, last, by in string.gmatch(tries, '(%S+) (%d+) (%d+) (%S+)') do
    if other == id then
      stored_at = number(at, at_ms)
    elseif at_ms - number(at, 0) < TRIES_MS and #others < MOST_TRIES then
      table.insert(others, table.concat({other, at, last, by}, ' '))
    end
  end
  table.insert(others, 1, table.concat({id, digits(stored_at), try, own_id}, ' '))
  return table.concat(others, '\n')
end
