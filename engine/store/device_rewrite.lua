-- Change an endpoint of an application or remove it, if nobody has changed it since it was read.
--
-- KEYS  its endpoints: 1 by list  2 by id  3 by token
-- ARGV  1 endpoint id  2 value that was read  3 new value, or '' to remove it  4 keyed hash of
--       its token  5 number of its entries in lists, then these, then the new ones
-- Returns 1, 0 if it is gone, or 2 if it has changed.
local known = redis.call('HGET', KEYS[2], ARGV[1])
if not known then return 0 end
if known == ARGV[3] then return 1 end
if known ~= ARGV[2] then return 2 end
local old = tonumber(ARGV[5])
for i = 6, 5 + old do redis.call('ZREM', KEYS[1], ARGV[i]) end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[2], ARGV[1])
  if redis.call('HGET', KEYS[3], ARGV[4]) == ARGV[1] then redis.call('HDEL', KEYS[3], ARGV[4]) end
  return 1
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for i = 6 + old, #ARGV do redis.call('ZADD', KEYS[1], 0, ARGV[i]) end
return 1
