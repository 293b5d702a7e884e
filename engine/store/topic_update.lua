-- Change fields of a topic's record.
--
-- KEYS  1 topic
-- ARGV  field, value, field, value, …
-- Returns 1, or 0 if the topic is gone.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name')
if record[1] or not record[2] then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'updated', time[1] * 1000 + math.floor(time[2] / 1000), unpack(ARGV))
return 1
