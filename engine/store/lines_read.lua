-- All of a hash, unless it is known: its field `v` says when it was last changed.
--
-- KEYS  1 hash
-- ARGV  1 the `v` that is known
-- Returns fields and values, or nil if it is the same.
if (redis.call('HGET', KEYS[1], 'v') or '0') == ARGV[1] then return false end
return redis.call('HGETALL', KEYS[1])
