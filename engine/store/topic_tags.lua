-- Take tags from a topic and give it others; a key that it has gets the new value. All or nothing.
-- They are kept as one JSON object, sorted by key, so that the same tags are the same text.
--
-- KEYS  1 topic  2 tags
-- ARGV  1 topic id  2 how many tags a topic may have  3 what is allowed: c = new keys,
--       u = new values  4 how many keys are taken
--       then these keys, then key, value, key, value, …
-- Returns 1, 5 if a key that was there has got a new value, 0 if the topic is gone, 2 if that
--       would be too many, 3 or 4 if a key or a value is new that may not be.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name')
if record[1] or not record[2] then return 0 end
local kept = redis.call('HGET', KEYS[2], ARGV[1])
local tags = kept and cjson.decode(kept) or {}
local create, update = string.find(ARGV[3], 'c'), string.find(ARGV[3], 'u')
local taken = tonumber(ARGV[4])
local done = 1
for i = 5, 4 + taken do tags[ARGV[i]] = nil end
for i = 5 + taken, #ARGV, 2 do
  local old, new = tags[ARGV[i]], ARGV[i + 1]
  if old == nil and not create then return 3 end
  if old ~= nil and old ~= new then
    if not update then return 4 end
    done = 5
  end
  tags[ARGV[i]] = new
end
local names = {}
for name in pairs(tags) do names[#names + 1] = name end
if #names > tonumber(ARGV[2]) then return 2 end
if #names == 0 then
  if redis.call('HDEL', KEYS[2], ARGV[1]) == 1 then
    redis.call('HSET', KEYS[2], 'v', table.concat(redis.call('TIME'), '.'))
  end
  return 1
end
table.sort(names)
for i, name in ipairs(names) do
  names[i] = cjson.encode(name) .. ':' .. cjson.encode(tags[name])
end
local text = '{' .. table.concat(names, ',') .. '}'
if text == kept then return 1 end
redis.call('HSET', KEYS[2], ARGV[1], text)
redis.call('HSET', KEYS[2], 'v', table.concat(redis.call('TIME'), '.'))
return done
