-- Put batches whose time has come back into their lane, as far as it has room.
--
-- ZREM decides who moves one, so that two workers, or a repeated run, never move it twice. A
-- lane takes turns: however many come due at once, what else is to be planned finds half of the
-- room (plan.lua leaves as much).
--
-- KEYS  1 retry  2 lane  3 inbox
-- ARGV  1 lane limit  2 group
-- Returns {moved, due time of the next one in ms, or 0, 1 = that one has found no room}.
local retry, lane = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local loans = redis.pcall('XPENDING', lane, ARGV[2])
local queued = redis.call('XLEN', lane) - (loans.err and 0 or loans[1])
local room = math.max(tonumber(ARGV[1]) - queued, 0)
if redis.call('LLEN', KEYS[3]) > 0 then room = math.ceil(room / 2) end
local moved = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', retry, '-inf', now, 'LIMIT', 0, room)) do
  if redis.call('ZREM', retry, member) == 1 then
    redis.call('XADD', lane, '*', 'b', member)
    moved = moved + 1
  end
end
local head = redis.call('ZRANGE', retry, 0, 0, 'WITHSCORES')
return {moved, head[2] or 0, head[2] and tonumber(head[2]) <= now and 1 or 0}
