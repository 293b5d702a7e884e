-- Fields of many topics' records: one command, where a pipeline would take one for each topic.
--
-- KEYS  topics
-- ARGV  fields
-- Returns for each topic the values in order of the fields, nil for what is not there.
local found = {}
for i, name in ipairs(KEYS) do found[i] = redis.call('HMGET', name, unpack(ARGV)) end
return found
