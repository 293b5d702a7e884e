-- Take from windows, or reserve times in token buckets.
--
-- KEYS  one a limit
-- ARGV  1 mode: take or reserve
--       take:    then for each limit: count, period in ms, penalty in ms. All must have room, or
--                none is charged, but a full one starts its penalty.
--       reserve: then for each limit: interval in ms, burst. Every one is charged.
-- Returns take: 0, or the time in ms until which it is refused; reserve: the times to send at.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if ARGV[1] == 'reserve' then
  local times = {}
  for i, key in ipairs(KEYS) do
    -- The generic cell rate algorithm: `due` is when the bucket would be full again.
    local interval, burst = tonumber(ARGV[i * 2]), tonumber(ARGV[i * 2 + 1])
    local due = math.max(tonumber(redis.call('GET', key) or 0), now)
    times[i] = string.format('%d', math.ceil(math.max(now, due - (burst - 1) * interval)))
    due = math.ceil(due + interval)
    redis.call('SET', key, string.format('%d', due), 'PX', due - now + 1000)
  end
  return times
end

local refused = 0
for i, key in ipairs(KEYS) do
  local a = 2 + (i - 1) * 3
  local count, period, penalty = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local state = redis.call('HMGET', key, 'start', 'count', 'until')
  local start, used, until_ms = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
  if until_ms > now then
    refused = math.max(refused, until_ms)
  elseif now - start < period and used >= count then
    redis.call('HSET', key, 'until', now + penalty)
    redis.call('PEXPIRE', key, penalty + period)
    refused = math.max(refused, now + penalty)
  end
end
if refused > 0 then return string.format('%d', refused) end
for i, key in ipairs(KEYS) do
  local period = tonumber(ARGV[2 + (i - 1) * 3 + 1])
  local start = tonumber(redis.call('HGET', key, 'start') or 0)
  if now - start >= period then
    redis.call('HSET', key, 'start', now, 'count', 1, 'until', 0)
    redis.call('PEXPIRE', key, period)
  else
    redis.call('HINCRBY', key, 'count', 1)
  end
end
return '0'
