-- Read what has changed in the directory.
--
-- A caller whose last change is not among those remembered, because it is too old or because a
-- fail-over has lost it, gets everything.
--
-- KEYS  1 records  2 changes
-- ARGV  1 number and  2 mark of the version that the caller has (0, '' = nothing)
-- Returns {number, mark, 0 = all or 1 = changes only, field, value, …}; '' for a value is a
--       deletion.
local state = redis.call('HMGET', KEYS[1], 'version', 'mark')
local number, mark = tonumber(state[1] or 0), state[2] or ''
local missed = number - tonumber(ARGV[1])
if missed == 0 and mark == ARGV[2] then return {number, mark, 1} end
if missed > 0 and ARGV[2] ~= '' then
  local last = redis.call('LINDEX', KEYS[2], missed)
  if last and cmsgpack.unpack(last)[1] == ARGV[2] then
    local reply, seen = {number, mark, 1}, {}
    for _, change in ipairs(redis.call('LRANGE', KEYS[2], 0, missed - 1)) do
      for _, field in ipairs(cmsgpack.unpack(change)[2]) do
        if not seen[field] then
          seen[field] = true
          reply[#reply + 1] = field
          reply[#reply + 1] = redis.call('HGET', KEYS[1], field) or ''
        end
      end
    end
    return reply
  end
end
local reply = {number, mark, 0}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= 'version' and all[i] ~= 'mark' then
    reply[#reply + 1] = all[i]
    reply[#reply + 1] = all[i + 1]
  end
end
return reply
