-- Change a subscription's status where it sits.
--
-- Confirming one that is not confirmed sets the first message that it receives, in the same
-- step: what was accepted before is not owed to it, all that is accepted after is.
--
-- KEYS  1 topic  2 subscriptions  3 page  4 versions
-- ARGV  1 subscription id  2 protocol:page:seat  3 seat  4 new status  5 version token
--       6 the page's field in the versions  7 the only status to change, '' = any
-- Returns {1, status before}, {0} if the topic or subscription is gone, or {2} if it has moved.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name', 'sequence')
if record[1] or not record[2] then return {0} end
local spot = redis.call('HGET', KEYS[2], ARGV[1])
if not spot then return {0} end
if spot ~= ARGV[2] then return {2} end
local status, from, rest = string.match(redis.call('HGET', KEYS[3], ARGV[3]), '^(%d+) (%d+) (.*)$')
if status == ARGV[4] or (ARGV[7] ~= '' and status ~= ARGV[7]) then return {1, tonumber(status)} end
if ARGV[4] == '1' then from = tonumber(record[3] or 0) + 1 end
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. from .. ' ' .. rest, 'v', ARGV[5])
redis.call('HSET', KEYS[4], ARGV[6], cjson.encode({ARGV[5], redis.call('HLEN', KEYS[3]) - 1}))
redis.call('HSET', KEYS[4], 'v', table.concat(redis.call('TIME'), '.'))
return {1, tonumber(status)}
