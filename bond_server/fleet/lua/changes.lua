-- Tell what changed since one looked last; everything, where that can't be told.
--
-- KEYS  streams, changes, epoch
-- ARGV  the last change seen, or ''; the epoch seen, or ''; an epoch if there is none
-- Returns the epoch, whether this is everything, the last change, and id and row of each stream;
-- the row is '' where the stream is gone.

redis.call('SET', KEYS[3], ARGV[3], 'NX')
local epoch = redis.call('GET', KEYS[3])
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local last = newest and newest[1] or '0-0'
local found = {}

local function before(a, b)
  local ams, an = string.match(a, '^(%d+)-(%d+)$')
  local bms, bn = string.match(b, '^(%d+)-(%d+)$')
  ams, an, bms, bn = tonumber(ams), tonumber(an), tonumber(bms), tonumber(bn)
  return ams < bms or (ams == bms and an < bn)
end

local is_whole = ARGV[1] == '' or ARGV[2] ~= epoch
if not is_whole and redis.call('XLEN', KEYS[2]) > 5000 then
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  is_whole = before(ARGV[1], oldest[1])
end
if is_whole then
  return { epoch, 1, last, redis.call('HGETALL', KEYS[1]) }
end
local seen = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[1], '+')) do
  local id = entry[2][2]
  if not seen[id] then
    seen[id] = true
    found[#found + 1] = id
    found[#found + 1] = redis.call('HGET', KEYS[1], id) or ''
  end
end
return { epoch, 0, last, found }
