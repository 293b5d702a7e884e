-- Count failed attempts of endpoints, park those that reach the bound, let one probe through.
--
-- KEYS  1 parked  then for each endpoint: its failures
-- ARGV  1 mode: failed, probe or succeeded
--       2 bound  3 window in ms  4 parked for ms  5 time for a probe in ms
--       then for each endpoint: digest, failures to add
-- Returns for each endpoint the time in ms until which it is to be left alone, 0 = it may be
--       tried, negative = it has just been parked until then.
local parked = KEYS[1]
local mode = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local results = {}
for i = 2, #KEYS do
  local digest, count = ARGV[6 + (i - 2) * 2], ARGV[7 + (i - 2) * 2]
  local until_ms = tonumber(redis.call('ZSCORE', parked, digest) or 0)
  if mode == 'succeeded' then
    redis.call('ZREM', parked, digest)
    redis.call('DEL', KEYS[i])
    until_ms = 0
  elseif mode == 'probe' then
    if until_ms > 0 and until_ms <= now then
      redis.call('ZADD', parked, now + ARGV[5], digest)
      until_ms = 0
    end
  elseif until_ms > 0 then
    -- The probe failed.
    until_ms = now + ARGV[4]
    redis.call('ZADD', parked, until_ms, digest)
  else
    local failures = redis.call('INCRBY', KEYS[i], count)
    if failures == tonumber(count) then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
    if failures >= tonumber(ARGV[2]) then
      redis.call('DEL', KEYS[i])
      redis.call('ZADD', parked, now + ARGV[4], digest)
      until_ms = -(now + ARGV[4])
    end
  end
  results[i - 1] = string.format('%d', until_ms)
end
return results
