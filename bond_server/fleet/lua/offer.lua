-- Offer a stream to another worker, if it is still this one's.
--
-- KEYS  meta
-- ARGV  the worker, and the other

if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'next', ARGV[2])
return 1
