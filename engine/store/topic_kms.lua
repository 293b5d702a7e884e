-- Bind a key to a topic, bind another one, or unbind it.
--
-- KEYS  1 topic  2 cards
-- ARGV  1 id of the binding that must be there, '' = none may be  2 `id:key` to write, '' = unbind
--       3 token of this call, by which it is known when it runs again  4 topic id
-- Returns 1 done, 0 the topic is gone, 2 another binding is there, or none.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name', 'kms', 'kms_call')
if record[1] or not record[2] then return 0 end
if record[4] == ARGV[3] then return 1 end
if (record[3] and string.sub(record[3], 1, 32) or '') ~= ARGV[1] then return 2 end
redis.call('HSET', KEYS[1], 'kms_call', ARGV[3])
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], 'kms')
else
  redis.call('HSET', KEYS[1], 'kms', ARGV[2])
end
local card = redis.call('HMGET', KEYS[1], 'created', 'updated', 'urn', 'display', 'enterprise',
  'kms', 'user', 'user:groups', 'user:protocols')
redis.call('HSET', KEYS[2], ARGV[4], cjson.encode(card))
redis.call('HSET', KEYS[2], 'v', table.concat(redis.call('TIME'), '.'))
return 1
