-- Put batches whose time has come back into their lane.
--
-- ZREM decides who moves one, so that two workers, or a repeated run, never move it twice.
--
-- KEYS  1 retry  2 lane
-- ARGV  1 how many at most
-- Returns {moved, due time of the next one in ms, or 0}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moved = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  if redis.call('ZREM', KEYS[1], member) == 1 then
    redis.call('XADD', KEYS[2], '*', 'b', member)
    moved = moved + 1
  end
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {moved, head[2] or 0}
