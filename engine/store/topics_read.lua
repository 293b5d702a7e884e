-- Fields of many records: one command, where a pipeline would take one for each.
--
-- KEYS  records
-- ARGV  fields
-- Returns for each record the values in order of the fields, nil for what is not there.
local found = {}
for i, name in ipairs(KEYS) do found[i] = redis.call('HMGET', name, unpack(ARGV)) end
return found
