-- Remove an application with all its endpoints.
--
-- KEYS  1 application  2 applications  3 to 5 its endpoints: by creation, by id, by token
-- ARGV  1 platform:name  2 id
-- Returns 1, or 0 if it is gone.
redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5])
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
return 1
