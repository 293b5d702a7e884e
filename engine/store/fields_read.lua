-- Fields of many hashes that belong to topics, and the topics' URNs.
--
-- KEYS  topic and hash, topic and hash, …
-- ARGV  for each pair the number of fields, and the fields
-- Returns for each field its value and the topic's URN: nil for what is not there, or deleted.
local found, at = {}, 1
for i = 1, #KEYS, 2 do
  local count = tonumber(ARGV[at])
  local record = redis.call('HMGET', KEYS[i], 'gone', 'urn')
  local urn = not record[1] and record[2]
  local values = redis.call('HMGET', KEYS[i + 1], unpack(ARGV, at + 1, at + count))
  for place = 1, count do found[#found + 1] = {values[place], urn} end
  at = at + count + 1
end
return found
