-- Take from windows, or share windows out.
--
-- KEYS  one a limit
-- ARGV  1 mode: take, grant or give
--       take:  then for each limit: count, period in ms, penalty in ms. All must have room, or
--              none is charged, but a full one starts its penalty, if it has one.
--       grant: then for each limit: count, period in ms, events wanted. Each is charged for as
--              many of them as it has room for.
--       give:  then for each limit: start of the window that was charged, events not used.
-- Returns take: 0, or the time in ms until which it is refused;
--       grant: {events allowed, start of the window} for each; give: events uncounted for each.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if ARGV[1] == 'grant' then
  local grants = {}
  for i, key in ipairs(KEYS) do
    local a = 2 + (i - 1) * 3
    local count, period, wanted = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    local state = redis.call('HMGET', key, 'start', 'count')
    local start, used = tonumber(state[1] or 0), tonumber(state[2] or 0)
    if now - start >= period then start, used = now, 0 end
    local allowed = math.max(math.min(wanted, count - used), 0)
    if allowed > 0 then
      redis.call('HSET', key, 'start', string.format('%d', start), 'count', used + allowed)
      redis.call('PEXPIRE', key, start + period - now)
    end
    grants[i] = {allowed, string.format('%d', start)}
  end
  return grants
end

if ARGV[1] == 'give' then
  local given = {}
  for i, key in ipairs(KEYS) do
    local start, unused = ARGV[i * 2], tonumber(ARGV[i * 2 + 1])
    given[i] = 0
    if redis.call('HGET', key, 'start') == start then
      given[i] = math.min(unused, tonumber(redis.call('HGET', key, 'count')))
      redis.call('HINCRBY', key, 'count', -given[i])
    end
  end
  return given
end

local refused = 0
for i, key in ipairs(KEYS) do
  local a = 2 + (i - 1) * 3
  local count, period, penalty = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local state = redis.call('HMGET', key, 'start', 'count', 'until')
  local start, used, until_ms = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
  if until_ms > now then
    refused = math.max(refused, until_ms)
  elseif now - start < period and used >= count and penalty == 0 then
    refused = math.max(refused, start + period)
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
