-- Remove a template.
--
-- KEYS  1 templates  2 contents of the name
-- ARGV  1 id  2 protocol
-- Returns 1, or 0 if there is no such template.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
return 1
