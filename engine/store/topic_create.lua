-- Create a topic, or find the one of that name.
--
-- KEYS  1 names  2 topic  3 pending  4 cards
-- ARGV  1 project:name  2 new topic id  3 urn  4 name  5 project  6 display name
--       7 enterprise project  8 may create: 1, or 0 when the quota is used up
--       then more fields of the record, and their values
-- Returns {topic id, 1 = new, created ms}; {'', 0, 0} if one more is not allowed.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and known ~= ARGV[2] then return {known, 0, 0} end
if known then return {known, 1, tonumber(redis.call('HGET', KEYS[2], 'created'))} end
if ARGV[8] == '0' then return {'', 0, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], 'urn', ARGV[3], 'name', ARGV[4], 'project', ARGV[5], 'display', ARGV[6],
  'enterprise', ARGV[7], 'created', now, 'updated', now)
if #ARGV > 8 then redis.call('HSET', KEYS[2], unpack(ARGV, 9)) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], 't:' .. ARGV[2], '+:' .. ARGV[5] .. ':' .. now)
local card = redis.call('HMGET', KEYS[2], 'created', 'updated', 'urn', 'display', 'enterprise',
  'kms', 'user', 'user:groups', 'user:protocols')
redis.call('HSET', KEYS[4], ARGV[2], cjson.encode(card))
redis.call('HSET', KEYS[4], 'v', table.concat(redis.call('TIME'), '.'))
return {ARGV[2], 1, now}
