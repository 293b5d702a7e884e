-- Remove an endpoint of an application.
--
-- KEYS  its endpoints: 1 by creation  2 by id  3 by token
-- ARGV  1 endpoint id  2 keyed hash of the token
-- Returns 1, or 0 if it is gone.
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('HGET', KEYS[3], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[3], ARGV[2]) end
return 1
