-- Let go of a stream, if it is this worker's.
--
-- KEYS  meta
-- ARGV  the worker

if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'owner', 'next')
  return 1
end
return 0
