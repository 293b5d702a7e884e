-- Remove a subscription and free its seat.
--
-- KEYS  1 topic  2 subscriptions  3 endpoints  4 order  5 free  6 page  7 pending  8 versions
-- ARGV  1 subscription id  2 protocol  3 page  4 seat  5 endpoint digest  6 version token
--       7 topic id
-- Returns 1, 0 if the topic or subscription is gone, or 2 if it has moved.
local topic, subs, ends, order, free, page, pending, versions = unpack(KEYS)
local id, protocol = ARGV[1], ARGV[2]
local spot = redis.call('HGET', subs, id)
if not spot then return 0 end
if spot ~= protocol .. ':' .. ARGV[3] .. ':' .. ARGV[4] then return 2 end
local record = redis.call('HMGET', topic, 'project', 'active', 'gone')
if not record[1] then return 0 end

redis.call('HDEL', subs, id)
if redis.call('HGET', ends, ARGV[5]) == id then redis.call('HDEL', ends, ARGV[5]) end
redis.call('ZREM', order, id)
redis.call('HDEL', page, ARGV[4])
local left = redis.call('HLEN', page) - 1
if left < 1 then
  redis.call('DEL', page)
else
  redis.call('HSET', page, 'v', ARGV[6])
end
-- A deleted topic's versions have gone with it.
if not record[3] then
  local field = ARGV[7] .. ':' .. protocol .. ':' .. ARGV[3]
  if left < 1 then
    redis.call('HDEL', versions, field)
  else
    redis.call('HSET', versions, field, cjson.encode({ARGV[6], left}))
  end
  redis.call('HSET', versions, 'v', table.concat(redis.call('TIME'), '.'))
end
redis.call('ZADD', free, ARGV[3], ARGV[3] .. ':' .. ARGV[4])
redis.call('HINCRBY', topic, 'subscriptions', -1)
if redis.call('HINCRBY', topic, 'seated:' .. protocol, -1) == 0 then
  -- Nobody is left: the next subscriber starts at the first page again.
  redis.call('DEL', free)
  redis.call('HDEL', topic, 'pages:' .. protocol, 'fresh:' .. protocol, 'seated:' .. protocol)
  local others = {}
  for other in string.gmatch(record[2] or '', '%S+') do
    if other ~= protocol then others[#others + 1] = other end
  end
  if #others > 0 then
    redis.call('HSET', topic, 'active', table.concat(others, ' '))
  else
    redis.call('HDEL', topic, 'active')
  end
end
redis.call('HSET', pending, 's:' .. id, '-:' .. record[1] .. ':0:' .. ARGV[7])
return 1
