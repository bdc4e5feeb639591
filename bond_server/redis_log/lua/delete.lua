-- Forget a stream, and let who watches it know by an empty message.
--
-- KEYS  log, meta, ends
-- ARGV  PUBLISH or SPUBLISH, channel
--
-- For a minute it stays known that it was deleted, so that a writer who has yet to hear of it
-- doesn't take it for lost, and open it again.

redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[2], 'deleted', '1')
redis.call('PEXPIRE', KEYS[2], 60000)
redis.call(ARGV[1], ARGV[2], '')
return 1
