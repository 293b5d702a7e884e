-- A worker leaves: what it still holds goes back into the lanes, then it is struck off.
--
-- A consumer is deleted only when nothing is pending for it: deleting it otherwise would lose
-- its batches.
--
-- KEYS  lanes
-- ARGV  1 group  2 consumer
-- Returns how many batches went back.
local returned = 0
for _, lane in ipairs(KEYS) do
  local held = redis.pcall('XPENDING', lane, ARGV[1], '-', '+', 10000, ARGV[2])
  if not held.err then
    for _, pending in ipairs(held) do
      local entry = redis.call('XRANGE', lane, pending[1], pending[1])[1]
      redis.call('XACK', lane, ARGV[1], pending[1])
      redis.call('XDEL', lane, pending[1])
      if entry then
        redis.call('XADD', lane, '*', 'b', entry[2][2])
        returned = returned + 1
      end
    end
    if #redis.call('XPENDING', lane, ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
      redis.call('XGROUP', 'DELCONSUMER', lane, ARGV[1], ARGV[2])
    end
  end
end
return returned
