-- All of many hashes.
--
-- KEYS  hashes
-- Returns fields and values of each.
local found = {}
for i, name in ipairs(KEYS) do found[i] = redis.call('HGETALL', name) end
return found
