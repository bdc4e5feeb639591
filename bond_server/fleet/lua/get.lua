-- Return a stream's row and what its owner said of it last, '' for what isn't there.
--
-- KEYS  streams, reports
-- ARGV  id

return { redis.call('HGET', KEYS[1], ARGV[1]) or '', redis.call('HGET', KEYS[2], ARGV[1]) or '' }
