-- Change an endpoint of an application.
--
-- KEYS  1 endpoints by id
-- ARGV  1 endpoint id  2 enabled: 1 or 0  3 JSON
-- Returns 1, or 0 if it is gone.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then return 0 end
local created = string.match(known, '^%d (%d+)')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. created .. ' ' .. ARGV[3])
return 1
