-- Create the consumer groups that are missing, at 0: nothing added before is missed.
--
-- Begins with XACK, which only frees, so that it passes at full memory: a worker that is to
-- drain a full server must get in.
--
-- KEYS  lanes
-- ARGV  1 group
-- Returns how many groups are new.
local made = 0
for _, lane in ipairs(KEYS) do
  redis.call('XACK', lane, ARGV[1], '0-0')
  local reply = redis.pcall('XGROUP', 'CREATE', lane, ARGV[1], '0', 'MKSTREAM')
  if not reply.err then
    made = made + 1
  elseif not string.find(reply.err, 'BUSYGROUP', 1, true) then
    return reply
  end
end
return made
