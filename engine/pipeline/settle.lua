-- Record what became of deliveries: partial flush, lease renewal, end of a batch, or give-back.
--
-- Fenced: an entry is written for only while its consumer and claim number hold it. A flush that
-- was written before (its number is not the next one) writes nothing again; an ended batch is
-- found acknowledged. The first write of every branch frees or only touches (XCLAIM, XACK), so
-- that the script passes at full memory.
--
-- KEYS  1 log  2 log size  3 gauges  4 topics with dead letters
--       then for each batch: lane, retry, message, ledger, topic, dead, counts
-- ARGV  1 group  2 consumer  3 log limit in bytes  4 counters' lifetime in s
--       then for each batch, 14: entry id, claims, mode, member, protocol:page, flush number,
--       row ('' = none), due ms (0 = the page has ended), log entry or '', log header,
--       dead letters or '', their number, counters ('field n field n …') or '',
--       marks of whom the message's rounds name (a character each, see policy/rounds) or ''
--       mode: flush, end, return
-- Returns for each batch: 1 written, 0 the batch belongs to another or has ended.
local log, log_size, gauges, deads = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer = ARGV[1], ARGV[2]
local WIDTH = 14

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Bytes 2 to 5 of a row: the number of the last flush that it holds.
local function flushed(row)
  local a, b, c, d = string.byte(row, 2, 5)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function write_log(topic_header, lines)
  redis.call('XADD', log, '*', 'h', topic_header, 'd', lines)
  local size = redis.call('HINCRBY', log_size, 'bytes', #topic_header + #lines)
  while size > tonumber(ARGV[3]) do
    local old = redis.call('XRANGE', log, '-', '+', 'COUNT', 16)
    if #old == 0 then
      redis.call('HSET', log_size, 'bytes', 0)
      return
    end
    for _, entry in ipairs(old) do
      if size <= tonumber(ARGV[3]) then return end
      local bytes = #entry[2][2] + #entry[2][4]
      redis.call('XDEL', log, entry[1])
      redis.call('HINCRBY', log_size, 'dropped', 1)
      size = redis.call('HINCRBY', log_size, 'bytes', -bytes)
    end
  end
end

-- Marks only rise, so that whatever is merged twice, or late, changes nothing.
local function mark(message, marks)
  local known = redis.call('HGET', message, 'm')
  if known then
    marks = string.gsub(marks, '()(.)', function(at, new)
      local old = string.sub(known, at, at)
      return old > new and old or new
    end)
  end
  redis.call('HSET', message, 'm', marks)
end

local function settle(k, a)
  local lane, retry, message, ledger = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]
  local topic, dead, counts = KEYS[k + 5], KEYS[k + 6], KEYS[k + 7]
  local id, claims, mode, member, field = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local number, row, due = tonumber(ARGV[a + 6]), ARGV[a + 7], tonumber(ARGV[a + 8])

  local held = redis.call('XPENDING', lane, group, id, id, 1)[1]
  if not held or held[2] ~= consumer or held[4] ~= tonumber(claims) then return 0 end

  local before = redis.call('HGET', ledger, field)
  if mode == 'flush' then
    -- A flush renews the lease as well.
    redis.call('XCLAIM', lane, group, consumer, 0, id, 'JUSTID')
    if row == '' or (before and flushed(before) >= number) then return 1 end
  else
    redis.call('XACK', lane, group, id)
    redis.call('XDEL', lane, id)
  end

  local exists = redis.call('EXISTS', message) == 1
  if exists and row ~= '' and (mode ~= 'end' or due > 0) then
    redis.call('HSET', ledger, field, row)
  end
  if exists and ARGV[a + 14] ~= '' then mark(message, ARGV[a + 14]) end
  if not (before and flushed(before) >= number) then
    if ARGV[a + 9] ~= '' then write_log(ARGV[a + 10], ARGV[a + 9]) end
    if ARGV[a + 13] ~= '' then
      for name, n in string.gmatch(ARGV[a + 13], '(%S+) (%d+)') do
        redis.call('HINCRBY', counts, name, n)
      end
      redis.call('EXPIRE', counts, ARGV[4])
    end
    -- A deleted topic takes no more dead letters: its purge would not see the late ones.
    local record = redis.call('HMGET', topic, 'gone', 'name')
    if ARGV[a + 11] ~= '' and exists and record[2] and not record[1] then
      redis.call('HSET', ledger, '!' .. field, (redis.call('HGET', ledger, '!' .. field) or '') .. ARGV[a + 11])
      redis.call('ZADD', dead, now, string.sub(member, 1, 33) .. field)
      redis.call('SADD', deads, string.sub(member, 34, 65))
      redis.call('HINCRBY', topic, 'dead', ARGV[a + 12])
    end
  end

  if mode == 'return' then
    redis.call('XADD', lane, '*', 'b', member)
  elseif mode == 'end' and due > 0 then
    redis.call('ZADD', retry, due, member)
  elseif mode == 'end' then
    if before then redis.call('HDEL', ledger, field) end
    if exists and redis.call('HINCRBY', message, 'l', -1) <= 0 then
      redis.call('HINCRBY', gauges, 'messages', -1)
      if redis.call('EXISTS', ledger) == 0 then redis.call('DEL', message) end
    end
  end
  return 1
end

local results = {}
for i = 1, (#KEYS - 4) / 7 do
  results[i] = settle(4 + (i - 1) * 7, 4 + (i - 1) * WIDTH)
end
return results
