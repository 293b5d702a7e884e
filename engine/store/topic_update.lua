-- Change fields of a topic's record, and its card with them.
--
-- KEYS  1 topic  2 cards
-- ARGV  1 topic id, then field, value, field, value, …
-- Returns 1, or 0 if the topic is gone.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name')
if record[1] or not record[2] then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'updated', time[1] * 1000 + math.floor(time[2] / 1000),
  unpack(ARGV, 2))
local card = redis.call('HMGET', KEYS[1], 'created', 'updated', 'urn', 'display', 'enterprise',
  'kms', 'user', 'user:groups', 'user:protocols')
redis.call('HSET', KEYS[2], ARGV[1], cjson.encode(card))
redis.call('HSET', KEYS[2], 'v', table.concat(redis.call('TIME'), '.'))
return 1
