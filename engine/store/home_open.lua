-- Find a home, or make it.
--
-- KEYS  1 topic
-- ARGV  1 urn  2 name  3 project
-- Returns when it was made in ms, 0 if it is retired.
local record = redis.call('HMGET', KEYS[1], 'gone', 'created')
if record[1] then return 0 end
if record[2] then return tonumber(record[2]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'urn', ARGV[1], 'name', ARGV[2], 'project', ARGV[3], 'display', '',
  'enterprise', '0', 'created', now, 'updated', now)
return now
