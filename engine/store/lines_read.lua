-- All of a hash, unless it is known: its field `v` counts the changes.
--
-- KEYS  1 hash
-- ARGV  1 the count that is known
-- Returns fields and values, or nil if the count is the same.
if (redis.call('HGET', KEYS[1], 'v') or '0') == ARGV[1] then return false end
return redis.call('HGETALL', KEYS[1])
