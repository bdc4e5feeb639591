-- Replace a stream's row, if it is still the one that was read.
--
-- KEYS  streams, changes
-- ARGV  id, the row that was read, the new one
-- Returns whether it was.

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'id', ARGV[1])
return 1
