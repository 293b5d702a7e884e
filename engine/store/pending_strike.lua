-- Strike off notes that still say what was applied.
--
-- KEYS  1 pending
-- ARGV  field, note, field, note, …
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return 1
