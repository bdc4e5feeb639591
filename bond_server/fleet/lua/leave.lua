-- End a worker's lease.
--
-- KEYS  workers, leaving
-- ARGV  the worker

redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
