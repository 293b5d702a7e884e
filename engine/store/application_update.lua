-- Replace an application's credentials.
--
-- KEYS  1 application
-- ARGV  1 id  2 principal  3 credential  4 keyed hash of both
-- Returns 1, or 0 if the application is gone.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'principal', ARGV[2], 'credential', ARGV[3], 'digest', ARGV[4])
return 1
