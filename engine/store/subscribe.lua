-- Seat subscriptions of one protocol in one page; those that exist already stay as they are.
--
-- KEYS  1 topic  2 subscriptions  3 endpoints  4 order  5 free  6 page  7 pending  8 versions
-- ARGV  1 protocol  2 page number  3 version token  4 topic id  5 quota of the topic
--       6 status  then for each: subscription id, endpoint digest, record (JSON)
-- Returns {status, page to use next, results…}; status is ok, page (call again with that page,
--       nothing done) or gone; a result is {id, 1 = new, page, seat}, or {} if the topic has no
--       room. Fewer results than asked for: the page is full, call again with the rest.
local topic, subs, ends, order, free, page, pending, versions = unpack(KEYS)
local protocol, number = ARGV[1], tonumber(ARGV[2])

local record = redis.call('HMGET', topic, 'gone', 'name', 'pages:' .. protocol, 'fresh:' .. protocol,
  'subscriptions', 'sequence', 'project', 'active')
if record[1] or not record[2] then return {'gone', 0} end
local pages, fresh = tonumber(record[3] or 0), tonumber(record[4] or 0)
local count, sequence = tonumber(record[5] or 0), tonumber(record[6] or 0)

local function right_page()
  local head = redis.call('ZRANGE', free, 0, 0, 'WITHSCORES')
  if head[2] then return tonumber(head[2]) end
  if pages > 0 and fresh < 256 then return pages - 1 end
  return pages
end
local right = right_page()
local new = false
for i = 7, #ARGV, 3 do
  local known = redis.call('HGET', ends, ARGV[i + 1])
  if not known then new = true break end
end
if new and right ~= number then return {'page', right} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local results, added = {}, 0
for i = 7, #ARGV, 3 do
  local id, digest = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', ends, digest)
  if known then
    local spot = redis.call('HGET', subs, known)
    local p, s = string.match(spot, ':(%d+):(%d+)$')
    results[#results + 1] = {known, known == id and 1 or 0, tonumber(p), tonumber(s)}
  elseif count >= tonumber(ARGV[5]) then
    results[#results + 1] = {}
  else
    local seat
    local spot = redis.call('ZRANGEBYSCORE', free, number, number, 'LIMIT', 0, 1)[1]
    if spot then
      redis.call('ZREM', free, spot)
      seat = tonumber(string.match(spot, ':(%d+)$'))
    elseif number == pages then
      pages, fresh, seat = pages + 1, 1, 0
    elseif number == pages - 1 and fresh < 256 then
      seat, fresh = fresh, fresh + 1
    else
      break
    end
    local from = ARGV[6] == '1' and sequence + 1 or 0
    redis.call('HSET', page, seat, ARGV[6] .. ' ' .. from .. ' ' .. now .. ' ' .. ARGV[i + 2])
    redis.call('HSET', subs, id, protocol .. ':' .. number .. ':' .. seat)
    redis.call('HSET', ends, digest, id)
    redis.call('ZADD', order, now, id)
    redis.call('HSET', pending, 's:' .. id, '+:' .. record[7] .. ':' .. now .. ':' .. ARGV[4])
    count, added = count + 1, added + 1
    results[#results + 1] = {id, 1, number, seat}
  end
end
if added > 0 then
  redis.call('HSET', page, 'v', ARGV[3])
  redis.call('HSET', versions, ARGV[4] .. ':' .. protocol .. ':' .. number,
    cjson.encode({ARGV[3], redis.call('HLEN', page) - 1}))
  redis.call('HSET', versions, 'v', table.concat(redis.call('TIME'), '.'))
  redis.call('HSET', topic, 'pages:' .. protocol, pages, 'fresh:' .. protocol, fresh, 'subscriptions', count)
  if redis.call('HINCRBY', topic, 'seated:' .. protocol, added) == added then
    redis.call('HSET', topic, 'active', (record[8] and record[8] .. ' ' or '') .. protocol)
  end
end
return {'ok', right_page(), unpack(results)}
