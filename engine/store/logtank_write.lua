-- Bind a topic's delivery log to a log stream, or change what it is bound to.
--
-- What is there already stays as it is, times included: a repeated run changes nothing.
--
-- KEYS  1 topic
-- ARGV  1 logtank id  2 log group  3 log stream  4 mode: create or update
-- Returns 1, 0 if the topic is gone, 2 if it has another logtank, 3 if it has none to update.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name', 'logtank', 'logtank:group', 'logtank:stream')
if record[1] or not record[2] then return 0 end
if record[3] and record[3] ~= ARGV[1] then return 2 end
if not record[3] and ARGV[4] == 'update' then return 3 end
if record[4] == ARGV[2] and record[5] == ARGV[3] then return 1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSETNX', KEYS[1], 'logtank:created', now)
redis.call('HSET', KEYS[1], 'logtank', ARGV[1], 'logtank:group', ARGV[2], 'logtank:stream', ARGV[3],
  'logtank:updated', now)
return 1
