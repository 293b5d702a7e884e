-- Reserve times, so that no window of any period holds more of them than its count.
--
-- A key holds the latest reservations, as many as the largest count. Times only grow, so a new one
-- is right if it comes a period after the one `count` places before it. A call has a name, under
-- which its reservations are found again if it is repeated.
--
-- KEYS  one a subject; the same one may come several times
-- ARGV  1 name of the call  2 time in ms from which on nothing is reserved any more
--       then for each rate: count, period in ms
-- Returns for each key the time in ms; one that is not before ARGV[2] is not reserved.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local most, longest = 1, 0
for a = 3, #ARGV, 2 do
  most = math.max(most, tonumber(ARGV[a]))
  longest = math.max(longest, tonumber(ARGV[a + 1]))
end

local function reserve(key, member)
  local found = redis.call('ZSCORE', key, member)
  if found then return tonumber(found) end
  local latest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  local at = math.max(now, tonumber(latest[2] or 0))
  for a = 3, #ARGV, 2 do
    local place = tonumber(ARGV[a]) - 1
    local earlier = redis.call('ZREVRANGE', key, place, place, 'WITHSCORES')
    if earlier[2] then at = math.max(at, tonumber(earlier[2]) + tonumber(ARGV[a + 1])) end
  end
  if at < tonumber(ARGV[2]) then
    redis.call('ZREMRANGEBYRANK', key, 0, -most)
    redis.call('ZADD', key, string.format('%d', at), member)
    redis.call('PEXPIRE', key, string.format('%d', at + longest - now))
  end
  return at
end

local times = {}
for i, key in ipairs(KEYS) do
  times[i] = string.format('%d', reserve(key, ARGV[1] .. ':' .. i))
end
return times
