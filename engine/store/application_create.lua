-- Create an application, or find the one of that name.
--
-- KEYS  1 applications  2 application
-- ARGV  1 platform:name  2 new id  3 principal  4 credential  5 keyed hash of both
-- Returns {id, 1 = new}; {'', 0} if the one of that name has other credentials.
local known = redis.call('HMGET', KEYS[2], 'id', 'digest')
if known[1] then
  if known[2] ~= ARGV[5] then return {'', 0} end
  return {known[1], known[1] == ARGV[2] and 1 or 0}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], 'id', ARGV[2], 'created', now, 'principal', ARGV[3], 'credential', ARGV[4],
  'digest', ARGV[5])
redis.call('ZADD', KEYS[1], now, ARGV[1])
return {ARGV[2], 1}
