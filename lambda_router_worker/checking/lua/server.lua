-- Reports the server's name and version. It has no flags in its first line, so that servers that refuse flags answer.
--
-- KEYS  1 any key of the queue; in a cluster, it selects the node that runs this script
-- ARGV  none
-- Answers {server_name, redis_version, valkey_version} as `INFO server` has them, then the version of Redis that Lua
--   reports; empty texts for what is missing, as is all of INFO if the user may not call it

local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then info = '' end
local function line(name)
  return string.match(info, name .. ':([%w.-]+)') or ''
end
return {line('server_name'), line('redis_version'), line('valkey_version'), redis.REDIS_VERSION or ''}
