-- Give a topic tags; a key that it has gets the new value. All or nothing.
--
-- KEYS  1 topic  2 tags
-- ARGV  1 how many tags a topic may have, then key, value, key, value, …
-- Returns 1, 0 if the topic is gone, or 2 if that would be too many.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name')
if record[1] or not record[2] then return 0 end
local count = redis.call('HLEN', KEYS[2])
for i = 2, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then count = count + 1 end
end
if count > tonumber(ARGV[1]) then return 2 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
