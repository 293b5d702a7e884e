-- Take over batches whose lease has passed, one's own included.
--
-- KEYS  lanes
-- ARGV  1 group  2 consumer  3 lease in ms  4 how many of each lane at most
-- Returns {lane number, entry id, member} for each batch taken.
local taken = {}
for i, lane in ipairs(KEYS) do
  local stale = redis.pcall('XPENDING', lane, ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])
  if not stale.err then
    for _, held in ipairs(stale) do
      local entry = redis.call('XCLAIM', lane, ARGV[1], ARGV[2], ARGV[3], held[1])[1]
      if entry then
        taken[#taken + 1] = {i, entry[1], entry[2][2]}
      else
        -- Only a purge deletes an entry that is still on loan.
        redis.call('XACK', lane, ARGV[1], held[1])
      end
    end
  end
end
return taken
