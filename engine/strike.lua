-- Strike off consumers that have long been silent and hold nothing.
--
-- Seen and done in one step: a consumer that is deleted with batches pending would lose them.
--
-- KEYS  lanes
-- ARGV  1 group  2 silence in ms
-- Returns how many were struck off.
local struck = 0
for _, lane in ipairs(KEYS) do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', lane, ARGV[1])
  if not consumers.err then
    for _, flat in ipairs(consumers) do
      local consumer = {}
      for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
      if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', lane, ARGV[1], consumer.name)
        struck = struck + 1
      end
    end
  end
end
return struck
