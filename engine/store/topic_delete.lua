-- Put the tombstone up: from here on nothing is accepted or delivered; the purge follows.
--
-- KEYS  1 names  2 topic  3 pending  4 purge  5 cards  6 tags  7 versions
-- ARGV  1 project:name  2 topic id  3 project
-- Returns 1, or 0 if there is no such topic.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return redis.call('SISMEMBER', KEYS[4], ARGV[2])
end
redis.call('HDEL', KEYS[1], ARGV[1])
for i = 5, 6 do
  if redis.call('HDEL', KEYS[i], ARGV[2]) == 1 then
    redis.call('HSET', KEYS[i], 'v', table.concat(redis.call('TIME'), '.'))
  end
end
local active = redis.call('HGET', KEYS[2], 'active') or ''
for protocol in string.gmatch(active, '%S+') do
  for number = 0, redis.call('HGET', KEYS[2], 'pages:' .. protocol) - 1 do
    redis.call('HDEL', KEYS[7], ARGV[2] .. ':' .. protocol .. ':' .. number)
  end
end
if active ~= '' then redis.call('HSET', KEYS[7], 'v', table.concat(redis.call('TIME'), '.')) end
redis.call('HSET', KEYS[2], 'gone', 1)
redis.call('HSET', KEYS[3], 't:' .. ARGV[2], '-:' .. ARGV[3])
redis.call('SADD', KEYS[4], ARGV[2])
return 1
