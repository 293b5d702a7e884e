-- Create the data set's account unless there is one.
--
-- KEYS  1 account
-- ARGV  field, value, …
-- Returns all fields and values of the account that holds from now on.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV))
end
return redis.call('HGETALL', KEYS[1])
