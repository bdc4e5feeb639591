-- Make a worker the owner of a stream, if nobody is, or one that may be taken from.
--
-- KEYS  meta
-- ARGV  the worker, and whom it may take the stream from, or ''
-- Returns whether it owns the stream now, its fence and the stream's top; {0, the owner} else;
-- {-1} where the stream isn't open.
--
-- A fence is Redis's time in microseconds where that is more than the last one plus one: after
-- a failover that rolled it back, a fence is not given a second time.

local is = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'fence', 'top')
if not is[1] then
  return { -1 }
end
local owner = is[2] or ''
if owner ~= '' and owner == ARGV[1] then
  return { 1, is[3], is[4] }
end
if owner ~= '' and owner ~= ARGV[2] then
  return { 0, owner }
end
local time = redis.call('TIME')
local fence = math.max(tonumber(is[3]) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
local text = string.format('%.0f', fence)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', text)
redis.call('HDEL', KEYS[1], 'next')
return { 1, text, is[4] }
