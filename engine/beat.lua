-- A worker is alive; those that have been silent for long are struck off.
--
-- Begins by freeing, so that it passes at full memory: a worker that drains is alive.
--
-- KEYS  1 workers
-- ARGV  1 name  2 time in ms  3 time in ms before which a worker is forgotten
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
