-- Take dead letters of one page away: to drop them, or to put their seats back into a lane.
--
-- Decided by comparison: `records` must still be what the caller read, so that two callers, or a
-- repeated run, do it once.
--
-- KEYS  1 dead  2 ledger  3 message  4 topic  5 topics with dead letters  6 gauges  7 lane
-- ARGV  1 topic id  2 member (message:protocol:page)  3 protocol:page  4 records read
--       5 records to keep ('' = none)  6 how many are taken
--       7 row to write ('' = drop only)  8 lane entry
-- Returns 1 done, 0 changed or gone, 2 the page is still being delivered.
local field = ARGV[3]
if redis.call('HGET', KEYS[2], '!' .. field) ~= ARGV[4] then
  if ARGV[4] == '' then redis.call('ZREM', KEYS[1], ARGV[2]) end
  return 0
end
if ARGV[7] ~= '' and redis.call('HEXISTS', KEYS[2], field) == 1 then return 2 end

redis.call('HDEL', KEYS[2], '!' .. field)
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[2], '!' .. field, ARGV[5])
else
  redis.call('ZREM', KEYS[1], ARGV[2])
end
if redis.call('EXISTS', KEYS[4]) == 1 then redis.call('HINCRBY', KEYS[4], 'dead', -ARGV[6]) end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[5], ARGV[1]) end

if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[2], field, ARGV[7])
  if redis.call('HINCRBY', KEYS[3], 'l', 1) == 1 then redis.call('HINCRBY', KEYS[6], 'messages', 1) end
  redis.call('XADD', KEYS[7], '*', 'b', ARGV[8])
elseif redis.call('EXISTS', KEYS[2]) == 0
    and tonumber(redis.call('HGET', KEYS[3], 'l') or 1) <= 0 then
  redis.call('DEL', KEYS[3])
end
return 1
