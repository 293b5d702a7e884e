-- What a shard has to tell a worker that looks in every few seconds.
--
-- KEYS  1 pending  2 purge  3 parked  4 topics with dead letters  5 recent
--       then for each protocol: retry, inbox, lane
-- ARGV  1 group  2 lease in ms  3 window of `recent` in ms
-- Returns {time in ms, notes pending, topics to purge, parked endpoints, topics with dead
--       letters, then for each protocol: earliest due ms or 0, topics in the inbox, 1 = some
--       lease has passed, 1 = the group is there}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {
  now, redis.call('HLEN', KEYS[1]), redis.call('SCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]),
  redis.call('SCARD', KEYS[4]),
}
for i = 6, #KEYS, 3 do
  local due = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
  local stale = redis.pcall('XPENDING', KEYS[i + 2], ARGV[1], 'IDLE', ARGV[2], '-', '+', 1)
  found[#found + 1] = due and string.format('%d', due) or '0'
  found[#found + 1] = redis.call('LLEN', KEYS[i + 1])
  found[#found + 1] = (not stale.err and #stale > 0) and 1 or 0
  found[#found + 1] = stale.err and 0 or 1
end
if redis.call('ZCOUNT', KEYS[5], '-inf', now - ARGV[3]) > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - ARGV[3])
end
return found
