-- Write records, if the directory is still what the caller decided upon.
--
-- A repeated run finds its own mark among the changes since, and does nothing.
--
-- KEYS  1 records  2 changes
-- ARGV  1 number and  2 mark of the expected version  3 mark of this change
--       4 changes to remember  then for each record: field, value ('' = delete)
-- Returns 1 done, 0 the directory has changed.
local state = redis.call('HMGET', KEYS[1], 'version', 'mark')
local number, mark = tonumber(state[1] or 0), state[2] or ''
local since = number - tonumber(ARGV[1])
if since ~= 0 or mark ~= ARGV[2] then
  if since > 0 then
    for _, change in ipairs(redis.call('LRANGE', KEYS[2], 0, since - 1)) do
      if cmsgpack.unpack(change)[1] == ARGV[3] then return 1 end
    end
  end
  return 0
end
local fields = {}
for i = 5, #ARGV, 2 do
  fields[#fields + 1] = ARGV[i]
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('HSET', KEYS[1], 'version', number + 1, 'mark', ARGV[3])
redis.call('LPUSH', KEYS[2], cmsgpack.pack({ARGV[3], fields}))
redis.call('LTRIM', KEYS[2], 0, ARGV[4] - 1)
return 1
