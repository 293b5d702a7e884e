-- Change an endpoint of an application: what is given, and nothing else.
--
-- KEYS  1 endpoints by id
-- ARGV  1 endpoint id  2 enabled: 1 or 0, or '' to keep it  3 whether user data follows: 1 or 0
--       4 user data
-- Returns 1, or 0 if it is gone.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then return 0 end
local enabled, created, body = string.match(known, '^(%d) (%d+) (.*)$')
if ARGV[2] ~= '' then enabled = ARGV[2] end
if ARGV[3] == '1' then body = cjson.encode({cjson.decode(body)[1], ARGV[4]}) end
redis.call('HSET', KEYS[1], ARGV[1], enabled .. ' ' .. created .. ' ' .. body)
return 1
