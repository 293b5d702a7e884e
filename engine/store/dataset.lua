-- Make the data set's record unless there is one; either way return it.
-- KEYS: the record. ARGV: field, value, …
if redis.call('EXISTS', KEYS[1]) == 0 then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'created_ms', now[1] * 1000 + math.floor(now[2] / 1000),
    unpack(ARGV))
end
return redis.call('HGETALL', KEYS[1])
