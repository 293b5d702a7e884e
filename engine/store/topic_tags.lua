-- Take tags from a topic and give it others; a key that it has gets the new value. All or nothing.
-- They are kept as one JSON object, sorted by key, so that the same tags are the same text.
--
-- KEYS  1 topic  2 tags
-- ARGV  1 topic id  2 how many tags a topic may have  3 how many keys are taken
--       then these keys, then key, value, key, value, …
-- Returns 1, 0 if the topic is gone, or 2 if that would be too many.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name')
if record[1] or not record[2] then return 0 end
local kept = redis.call('HGET', KEYS[2], ARGV[1])
local tags = kept and cjson.decode(kept) or {}
local taken = tonumber(ARGV[3])
for i = 4, 3 + taken do tags[ARGV[i]] = nil end
for i = 4 + taken, #ARGV, 2 do tags[ARGV[i]] = ARGV[i + 1] end
local names = {}
for name in pairs(tags) do names[#names + 1] = name end
if #names > tonumber(ARGV[2]) then return 2 end
if #names == 0 then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return 1
end
table.sort(names)
for i, name in ipairs(names) do
  names[i] = cjson.encode(name) .. ':' .. cjson.encode(tags[name])
end
redis.call('HSET', KEYS[2], ARGV[1], '{' .. table.concat(names, ',') .. '}')
return 1
