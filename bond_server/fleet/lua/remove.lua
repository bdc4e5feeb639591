-- Remove a stream; if a row is given, only where it is still that one.
--
-- KEYS  streams, of:<project>, changes, reports, heard
-- ARGV  id, the row that was read, or ''
-- Returns whether it was there.

local found = redis.call('HGET', KEYS[1], ARGV[1])
if not found or (ARGV[2] ~= '' and found ~= ARGV[2]) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'id', ARGV[1])
return 1
