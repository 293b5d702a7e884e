-- Unbind a topic's delivery log.
--
-- KEYS  1 topic
-- ARGV  1 logtank id
-- Returns 1, or 0 if the topic does not have this one.
if redis.call('HGET', KEYS[1], 'logtank') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'logtank', 'logtank:group', 'logtank:stream', 'logtank:created',
  'logtank:updated')
return 1
