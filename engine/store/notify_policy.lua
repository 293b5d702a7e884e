-- Make, replace or remove a topic's notify policy.
--
-- KEYS  1 topic
-- ARGV  1 what: create, replace or remove  2 policy id  3 policy (JSON that begins with its id)
-- Returns 1, 0 if the topic is gone, 2 if there is another policy, or 3 if there is none of
--       that id.
local record = redis.call('HMGET', KEYS[1], 'gone', 'name', 'notify')
if record[1] or not record[2] then return 0 end
local known = record[3] and string.match(record[3], '^%["(%x+)"')
if ARGV[1] == 'create' then
  if known and known ~= ARGV[2] then return 2 end
elseif known ~= ARGV[2] then
  return 3
end
if ARGV[1] == 'remove' then
  redis.call('HDEL', KEYS[1], 'notify')
else
  redis.call('HSET', KEYS[1], 'notify', ARGV[3])
end
return 1
