-- Read what a worker needs to run batches, and check that it still holds them.
--
-- KEYS  for each batch: lane, topic, message, ledger, page, inbox
-- ARGV  1 group  2 consumer
--       then for each batch: entry id, protocol:page, known page version or '', 1 = content known
-- Returns for each batch {topics in the inbox, claims, idle ms, gone, sequence, content, row,
--       version, seats, rounds}; only the first where the batch belongs to another by now.
--       Content is '' if known, seats '' if the version is, false where there is none.
local batches = {}
for i = 1, #KEYS / 6 do
  local k, a = (i - 1) * 6, 2 + (i - 1) * 4
  local lane, topic, message, ledger, page = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4], KEYS[k + 5]
  local backlog = redis.call('LLEN', KEYS[k + 6])
  local held = redis.call('XPENDING', lane, ARGV[1], ARGV[a + 1], ARGV[a + 1], 1)[1]
  if not held or held[2] ~= ARGV[2] then
    batches[i] = {backlog}
  else
    local record = redis.call('HMGET', topic, 'gone', 'name')
    local stored = redis.call('HMGET', message, 's', 'l', 'r')
    local content = false
    if stored[1] then content = ARGV[a + 4] == '1' and '' or redis.call('HGET', message, 'b') end
    local version, seats = redis.call('HGET', page, 'v'), false
    if version then seats = version == ARGV[a + 3] and '' or redis.call('HGETALL', page) end
    batches[i] = {
      backlog, held[4], held[3], (record[1] or not record[2]) and 1 or 0,
      stored[1] or false, content, redis.call('HGET', ledger, ARGV[a + 2]), version, seats,
      stored[3],
    }
  end
end
return batches
