-- Put another body in a seat, if nobody has changed it since it was read.
--
-- KEYS  1 topic  2 subscriptions  3 page  4 versions
-- ARGV  1 subscription id  2 protocol:page:seat  3 seat  4 body that was read  5 new body
--       6 version token  7 the page's field in the versions
-- Returns 1, 0 if the topic or subscription is gone, or 2 if it has moved or changed.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name')
if record[1] or not record[2] then return 0 end
local spot = redis.call('HGET', KEYS[2], ARGV[1])
if not spot then return 0 end
if spot ~= ARGV[2] then return 2 end
local numbers, body = string.match(redis.call('HGET', KEYS[3], ARGV[3]), '^(%d+ %d+ %d+ )(.*)$')
if body == ARGV[5] then return 1 end
if body ~= ARGV[4] then return 2 end
redis.call('HSET', KEYS[3], ARGV[3], numbers .. ARGV[5], 'v', ARGV[6])
redis.call('HSET', KEYS[4], ARGV[7], cjson.encode({ARGV[6], redis.call('HLEN', KEYS[3]) - 1}))
redis.call('HSET', KEYS[4], 'v', table.concat(redis.call('TIME'), '.'))
return 1
