-- Add an endpoint to an application, or find that of the token.
--
-- KEYS  1 application  2 to 4 its endpoints: by list, by id, by token
-- ARGV  1 application id  2 new endpoint id  3 keyed hash of the token  4 JSON
--       then the lists that it is in
-- Returns {new, known or gone, endpoint id, value}.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return {'gone', '', ''} end
local known = redis.call('HGET', KEYS[4], ARGV[3])
if known then
  return {known == ARGV[2] and 'new' or 'known', known, redis.call('HGET', KEYS[3], known)}
end
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local value = '1 ' .. now .. ' ' .. ARGV[4]
redis.call('HSET', KEYS[4], ARGV[3], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], value)
for i = 5, #ARGV do redis.call('ZADD', KEYS[2], 0, ARGV[i] .. now .. ARGV[2]) end
return {'new', ARGV[2], value}
