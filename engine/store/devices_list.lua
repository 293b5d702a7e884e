-- A window of one of the lists of an application's endpoints.
--
-- KEYS  its endpoints: 1 by list  2 by id
-- ARGV  1 the list  2 offset  3 limit  4 id of the endpoint after which it begins, or ''
-- Returns the number of all in the list, then id and value of each in the window.
local list = ARGV[1]
local first = redis.call('ZLEXCOUNT', KEYS[1], '-', '(' .. list)
local total = redis.call('ZLEXCOUNT', KEYS[1], '[' .. list, '(' .. list .. '\255')
local found = {total}
local start = first + tonumber(ARGV[2])
if ARGV[4] ~= '' then
  local marker = redis.call('HGET', KEYS[2], ARGV[4])
  local created = marker and string.match(marker, '^%d (%d+) ')
  local rank = created and redis.call('ZRANK', KEYS[1], list .. created .. ARGV[4])
  if not rank then return found end
  start = rank + 1 + tonumber(ARGV[2])
end
local last = math.min(start + tonumber(ARGV[3]), first + total) - 1
if last < start then return found end
for _, entry in ipairs(redis.call('ZRANGE', KEYS[1], start, last)) do
  local id = string.sub(entry, -32)
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', KEYS[2], id)
end
return found
