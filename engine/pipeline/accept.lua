-- Store a message, number it and queue its pages; the first quantum is planned at once.
--
-- KEYS  1 topic  2 message  3 recent  4 gauges  5 idempotency (or the message again)
--       then for each protocol of ARGV[17..]: inbox, backlog, lane, first page
-- ARGV  1 message id  2 topic id  3 content  4 window of `recent` in ms
--       5 idempotency digest or ''  6 its window in ms
--       7 quantum in pages  8 lane limit  9 backlog limit
--       10 protocol (addressed message) or ''  11 page, and seat and subscription id, or ''
--       12 memory flag: 1 = the server is too full  13 what the caller knows of the topic: when
--       it was updated, a space, its KMS binding  14 group
--       15 ' protocol protocol ' that the message is for, or '' for all
--       16 most bytes of content that travel with a lane's entry
--       17.. protocols the caller knows of
-- Returns {status, message id, sequence, active protocols}; status is ok, replay, conflict, gone,
--       protocols (call again with the active ones), stale (read the topic again), full (backlog)
--       or memory.
local topic, message, recent, gauges, idempotency = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, topic_id = ARGV[1], ARGV[2]

local record = redis.call('HMGET', topic, 'gone', 'active', 'updated', 'kms', 'notify')
if record[1] or not record[3] then return {'gone'} end
if redis.call('ZSCORE', recent, id) then return {'ok', id, 0, record[2] or ''} end

local digest = ARGV[5]
if digest ~= '' then
  local known = redis.call('GET', idempotency)
  if known then
    if string.sub(known, 34) ~= digest then return {'conflict'} end
    -- A replay writes, so that its answer is as durable as the first one was.
    redis.call('PEXPIRE', idempotency, ARGV[6])
    return {'replay', string.sub(known, 1, 32), 0, record[2] or ''}
  end
end
if ARGV[12] == '1' then return {'memory'} end
if ARGV[10] == '' and record[3] .. ' ' .. (record[4] or '') ~= ARGV[13] then return {'stale'} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local active = {}
local addressed = ARGV[10] ~= ''
if addressed then
  active[1] = ARGV[10]
elseif record[2] then
  for protocol in string.gmatch(record[2], '%S+') do
    if ARGV[15] == '' or string.find(ARGV[15], ' ' .. protocol .. ' ', 1, true) then
      active[#active + 1] = protocol
    end
  end
end
local slots = {}
for i = 17, #ARGV do slots[ARGV[i]] = 6 + (i - 17) * 4 end
for _, protocol in ipairs(active) do
  if not slots[protocol] then return {'protocols', '', 0, record[2]} end
end

local pages, total = {}, 0
for i, protocol in ipairs(active) do
  pages[i] = addressed and 1 or tonumber(redis.call('HGET', topic, 'pages:' .. protocol) or 0)
  total = total + pages[i]
end
if total > 0 and not addressed
    and tonumber(redis.call('HGET', gauges, 'messages') or 0) >= tonumber(ARGV[9]) then
  return {'full'}
end

-- Marks first: whatever runs this again must find them.
redis.call('ZADD', recent, now, id)
redis.call('ZREMRANGEBYSCORE', recent, '-inf', now - ARGV[4])
if digest ~= '' then
  redis.call('SET', idempotency, id .. ' ' .. digest, 'PX', ARGV[6])
end
local sequence = 0
if not addressed then sequence = redis.call('HINCRBY', topic, 'sequence', 1) end
if total == 0 then return {'ok', id, sequence, record[2] or ''} end

redis.call('HSET', message, 'b', ARGV[3], 's', sequence, 'l', total)
redis.call('HINCRBY', gauges, 'messages', 1)
-- The rounds as they are now: a policy that changes changes nothing that is under way.
local rounds = not addressed and record[5]
if rounds then redis.call('HSET', message, 'r', rounds) end
if addressed then
  redis.call('XADD', KEYS[slots[ARGV[10]] + 2], '*', 'b', id .. ':' .. topic_id .. ':' .. ARGV[11])
  return {'ok', id, sequence, record[2] or ''}
end

-- What is short and goes to one page needs no load, if its worker knows the page as it is now.
-- Not in the rear half of a lane: who loads from a full one sees that there is a backlog to plan.
local brief = total == 1 and not rounds and #ARGV[3] <= tonumber(ARGV[16])
local quantum, limit = tonumber(ARGV[7]), tonumber(ARGV[8])
for i, protocol in ipairs(active) do
  local slot = slots[protocol]
  local inbox, backlog, lane = KEYS[slot], KEYS[slot + 1], KEYS[slot + 2]
  local planned = 0
  local waiting = redis.call('HEXISTS', backlog, topic_id .. ':tail') == 1
  if not waiting then
    local loans = redis.pcall('XPENDING', lane, ARGV[14])
    local queued = redis.call('XLEN', lane) - (loans.err and 0 or loans[1])
    local room = math.min(quantum, limit - queued)
    local version = brief and queued < limit / 2 and redis.call('LLEN', inbox) == 0
      and redis.call('HGET', KEYS[slot + 3], 'v')
    while planned < pages[i] and planned < room do
      local reference = id .. ':' .. topic_id .. ':' .. planned
      if version then
        redis.call('XADD', lane, '*', 'b', reference, 's', sequence, 'v', version, 'c', ARGV[3])
      else
        redis.call('XADD', lane, '*', 'b', reference)
      end
      planned = planned + 1
    end
  end
  if planned < pages[i] then
    local tail = redis.call('HINCRBY', backlog, topic_id .. ':tail', 1)
    redis.call('HSET', backlog, topic_id .. ':' .. tail, id .. ':' .. planned .. ':' .. pages[i])
    if not waiting then
      redis.call('HSET', backlog, topic_id .. ':head', tail)
      redis.call('RPUSH', inbox, topic_id)
    end
  end
end
return {'ok', id, sequence, record[2] or ''}
