-- Move a quantum of one topic's backlog into its lane; the topic goes to the tail of the inbox.
--
-- Runs twice without harm: each run moves what is there. Begins by freeing, so that it passes
-- at full memory.
--
-- KEYS  1 inbox  2 backlog  3 lane  4 retry
-- ARGV  1 quantum in pages  2 lane limit  3 group
-- Returns {pages planned, topics left in the inbox}.
local inbox, backlog, lane = KEYS[1], KEYS[2], KEYS[3]
-- Batches on loan to a worker wait for endpoints, not in the lane.
local loans = redis.pcall('XPENDING', lane, ARGV[3])
local queued = redis.call('XLEN', lane) - (loans.err and 0 or loans[1])
local room = math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - queued)
if room <= 0 then return {0, redis.call('LLEN', inbox)} end
-- What is due for another try has half of the room.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZCOUNT', KEYS[4], '-inf', now) > 0 then room = math.ceil(room / 2) end
local topic = redis.call('LPOP', inbox)
if not topic then return {0, 0} end

local marks = redis.call('HMGET', backlog, topic .. ':head', topic .. ':tail')
local head, tail = tonumber(marks[1]), tonumber(marks[2])
local planned = 0
while head <= tail and planned < room do
  local field = topic .. ':' .. head
  local message, page, pages = string.match(redis.call('HGET', backlog, field), '^(%x+):(%d+):(%d+)$')
  page, pages = tonumber(page), tonumber(pages)
  while page < pages and planned < room do
    redis.call('XADD', lane, '*', 'b', message .. ':' .. topic .. ':' .. page)
    page, planned = page + 1, planned + 1
  end
  if page < pages then
    redis.call('HSET', backlog, field, message .. ':' .. page .. ':' .. pages)
  else
    redis.call('HDEL', backlog, field)
    head = head + 1
  end
end
if head <= tail then
  redis.call('HSET', backlog, topic .. ':head', head)
  redis.call('RPUSH', inbox, topic)
else
  redis.call('HDEL', backlog, topic .. ':head', topic .. ':tail')
end
return {planned, redis.call('LLEN', inbox)}
