-- Forget a stream, and let who watches it know by an empty message.
--
-- KEYS  log, meta, ends
-- ARGV  PUBLISH or SPUBLISH, channel

redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call(ARGV[1], ARGV[2], '')
return 1
