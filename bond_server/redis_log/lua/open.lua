-- Make a stream known, or find it known; return its top.
--
-- KEYS  meta
-- ARGV  epoch if it is new; then what it keeps: keep_ms, windows, max_bytes

local meta = KEYS[1]
if redis.call('HSETNX', meta, 'epoch', ARGV[1]) == 1 then
  redis.call('HSET', meta, 'top', '0-0', 'fence', '0', 'bytes', '0')
  redis.call('HDEL', meta, 'deleted')
  redis.call('PERSIST', meta)
end
redis.call('HSET', meta, 'keep_ms', ARGV[2], 'windows', ARGV[3], 'max_bytes', ARGV[4])
return redis.call('HGET', meta, 'top')
