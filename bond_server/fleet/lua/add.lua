-- Add a stream, unless it is there or its project has all it may have.
--
-- KEYS  streams, of:<project>, changes
-- ARGV  id, row, how many the project may have
-- Returns {1, ''}; {0, the row that is there}; {-1, how many there are}.

local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
  return { 0, found }
end
local used = redis.call('SCARD', KEYS[2])
if used >= tonumber(ARGV[3]) then
  return { -1, tostring(used) }
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'id', ARGV[1])
return { 1, '' }
