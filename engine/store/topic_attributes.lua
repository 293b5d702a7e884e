-- Set or clear attributes of a topic, each with the times of its creation and last change.
--
-- A value that is there already stays as it is, times included: a repeated run changes nothing.
--
-- KEYS  1 topic
-- ARGV  attribute, value ('' clears), attribute, value, …
-- Returns 1, or 0 if the topic is gone.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name')
if record[1] or not record[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  local field = 'attribute:' .. name
  if value == '' then
    redis.call('HDEL', KEYS[1], field, field .. ':created', field .. ':updated')
  elseif redis.call('HGET', KEYS[1], field) ~= value then
    redis.call('HSETNX', KEYS[1], field .. ':created', now)
    redis.call('HSET', KEYS[1], field, value, field .. ':updated', now)
  end
end
return 1
