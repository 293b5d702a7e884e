-- Give nobody a time before another one: whoever reserves later comes after it.
--
-- KEYS  1 as reserve.lua keeps it
-- ARGV  1 time in ms  2 longest period in ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZADD', KEYS[1], 'GT', ARGV[1], 'hold')
local left = string.format('%d', ARGV[1] + ARGV[2] - now)
if redis.call('PTTL', KEYS[1]) < tonumber(left) then redis.call('PEXPIRE', KEYS[1], left) end
return redis.status_reply('OK')
