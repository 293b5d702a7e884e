-- Replace a template's content.
--
-- KEYS  1 templates  2 contents of the name
-- ARGV  1 id  2 protocol  3 content  4 what a list shows (JSON)
-- Returns 1, or 0 if there is no such template.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then return 0 end
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], ARGV[1], string.match(known, '^%d+') .. ' ' .. now .. ' ' .. ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
