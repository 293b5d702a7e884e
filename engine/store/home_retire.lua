-- Put up a home's tombstone and have it purged as a deleted topic; its tags go at once.
--
-- KEYS  1 topic  2 purge  3 tags
-- ARGV  1 its id
-- Returns 1, or 0 if there is nothing to retire.
if redis.call('HDEL', KEYS[3], ARGV[1]) == 1 then
  redis.call('HSET', KEYS[3], 'v', table.concat(redis.call('TIME'), '.'))
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'gone', 1)
redis.call('SADD', KEYS[2], ARGV[1])
return 1
