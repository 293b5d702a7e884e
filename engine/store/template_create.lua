-- Create a template, unless its name has one for the protocol or the quota is used up.
--
-- KEYS  1 templates  2 contents of the name
-- ARGV  1 id  2 protocol  3 content  4 what a list shows (JSON)  5 quota
-- Returns ok, exists or quota.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'ok' end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return 'exists' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return 'quota' end
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. now .. ' ' .. ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 'ok'
